"""Figures for operators, in the form that Prometheus reads. The one door of prometheus-client.

What happens is counted here as it happens, for all services of the process; how things stand is asked when somebody
wants to know, by the `figures` of each service.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_registry = CollectorRegistry()
ProcessCollector(registry=_registry)
_requests = Histogram(
    "modelyard_request_seconds",
    "Seconds from a request to the beginning of its answer",
    ("service", "method", "route", "status"),
    buckets=_SECONDS,
    registry=_registry,
)
_emitted = Counter("modelyard_events_emitted", "Events that were committed", ("service", "type"), registry=_registry)
_handled = Counter(
    "modelyard_events_handled", "Events that had their effect", ("service", "handler", "type"), registry=_registry
)

# finding the child of some labels costs more than counting
_request = cache(_requests.labels)
_emit = cache(_emitted.labels)
_handle = cache(_handled.labels)


def requested(service: str, method: str, route: str, status: int, seconds: float) -> None:
    """Count a request, by the template of its route."""
    _request(service, method, route, str(status)).observe(seconds)


def emitted(service: str, event_type: str) -> None:
    """Count an event that was committed."""
    _emit(service, event_type).inc()


def handled(service: str, handler: str, event_type: str) -> None:
    """Count an event that had its effect, which was committed."""
    _handle(service, handler, event_type).inc()


@dataclass(frozen=True)
class Figure:
    """How something stands now: a gauge with a value for each set of labels. Names begin with `modelyard_`."""

    name: str
    help: str
    values: Sequence[tuple[Mapping[str, str], float]]


Figures = Callable[[], Awaitable[Sequence[Figure]]]
"""What a service tells of itself when it is asked."""


class _Told(Collector):
    def __init__(self, figures: Iterable[Figure]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        merged: dict[str, list[Figure]] = {}
        for figure in self._figures:
            merged.setdefault(figure.name, []).append(figure)
        for name, parts in merged.items():
            labels = sorted({label for part in parts for given, _ in part.values for label in given})
            gauge = GaugeMetricFamily(name, parts[0].help, labels=labels)
            for part in parts:
                for given, value in part.values:
                    gauge.add_metric([given.get(label, "") for label in labels], value)
            yield gauge


def written(figures: Iterable[Figure]) -> bytes:
    """All that was counted, and these figures, as text (Prometheus text format 0.0.4)."""
    now = CollectorRegistry()
    now.register(_Told(figures))
    return generate_latest(_registry) + generate_latest(now)
