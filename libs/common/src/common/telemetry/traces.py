"""Traces from the gateway through outbox and bus to the consumer (W3C Trace Context).

Spans are recorded and leave the process only where an OTLP endpoint is set (`OTEL_EXPORTER_OTLP_ENDPOINT`). Without
one nothing is recorded, but the trace's id still goes all the way, and stands in every log line and event.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, DEFAULT_ON
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from common.kernel.events import CloudEvent

_PROPAGATOR = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("modelyard")


def set_up(service: str, processor: SpanProcessor | None = None) -> None:
    """Trace, and export where an OTLP endpoint is set (or to `processor`). Once a process."""
    exported = bool(os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"))
    sampler = DEFAULT_ON if processor is not None or exported else ALWAYS_OFF
    provider = TracerProvider(sampler=sampler, resource=Resource.create({"service.name": service}))
    if processor is not None:
        provider.add_span_processor(processor)
    elif exported:
        # imported only here: it costs start time and memory that a platform without traces need not spend
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def context_from(carrier: Mapping[str, str]) -> Context:
    """The trace context that a request's headers carry; an empty one where they carry none."""
    return _PROPAGATOR.extract(dict(carrier))


@contextmanager
def span(name: str, *, kind: SpanKind = SpanKind.INTERNAL, parent: Context | None = None) -> Iterator[Span]:
    """A span round a block."""
    with _tracer.start_as_current_span(name, kind=kind, context=parent) as current:
        yield current


@contextmanager
def heard_span(name: str, event: CloudEvent) -> Iterator[Span]:
    """A consumer's span, child of the one in which the event was emitted."""
    parent = context_from({"traceparent": event.traceparent}) if event.traceparent else None
    with _tracer.start_as_current_span(name, kind=SpanKind.CONSUMER, context=parent) as current:
        current.set_attribute("messaging.message.id", event.id)
        current.set_attribute("messaging.destination.name", event.type)
        yield current
