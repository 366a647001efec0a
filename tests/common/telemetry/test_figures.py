"""What is counted is told in Prometheus' text form, once for each set of labels."""

from __future__ import annotations

from common.telemetry import figures
from common.telemetry.figures import Figure


def test_what_is_counted_is_told() -> None:
    for _ in range(3):
        figures.handled("figures-svc", "on_thing", "thing.made")
    figures.emitted("figures-svc", "thing.made")
    figures.requested("figures-svc", "GET", "/things/{id}", 200, 0.003)
    text = figures.written([]).decode()
    assert 'modelyard_events_handled_total{handler="on_thing",service="figures-svc",type="thing.made"} 3.0' in text
    assert 'modelyard_events_emitted_total{service="figures-svc",type="thing.made"} 1.0' in text
    labels = 'method="GET",route="/things/{id}",service="figures-svc",status="200"'
    assert f'modelyard_request_seconds_bucket{{le="0.002",{labels}}} 0.0' in text
    assert f'modelyard_request_seconds_bucket{{le="0.005",{labels}}} 1.0' in text


def test_figures_of_one_name_from_several_services_are_one_family() -> None:
    parts = [Figure("modelyard_things", "Things", [({"service": name}, 1.0)]) for name in ("a", "b")]
    text = figures.written(parts).decode()
    assert text.count("# TYPE modelyard_things gauge") == 1
    assert 'modelyard_things{service="b"} 1.0' in text
