"""What a job may ask for: every fault at once, and what the request comes to."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.algorithm import AlgorithmSnapshot
from common.contracts.dataset import DatasetSnapshot, DatasetVersion
from common.contracts.shared import ManifestRef, Parameter, TrainingPart, Visibility
from common.kernel.errors import Invalid
from common.ports.inventory import Device, Node
from train_svc.domain.asking import empty_state, never_fits
from train_svc.domain.errors import NeverFits
from train_svc.domain.job import JobRequest, ResourceRequest
from train_svc.domain.materials import Material, SplitRequest
from train_svc.domain.parameters import as_text, parameter_faults, settled, value_fault
from train_svc.domain.request import House, Used, request_faults, split_faults, terms_of
from train_svc.domain.specs import DEFAULT_SPECS

REF = ManifestRef(address="x/index", digest="0" * 64, files=8, bytes=80)
PARAMETERS = (
    Parameter(name="epochs", type="integer", default=2, minimum=1, maximum=100),
    Parameter(name="rate", type="number", default=0.1, minimum=0, maximum=1),
    Parameter(name="color", type="string", default="gray", choices=("gray", "rgb")),
    Parameter(name="classes", type="integer"),
)


def dataset(**fields: Any) -> DatasetSnapshot:
    facts: dict[str, Any] = {
        "id": "ds-1",
        "name": "猫",
        "owner": "alice",
        "visibility": Visibility.PRIVATE,
        "purpose": "image/classification",
        "annotation": "class",
        "format": "dir",
        "test_mode": "ratio",
        "online": True,
        "version": DatasetVersion(id="dsv-1", number=1, digest="d", train=REF),
    }
    return DatasetSnapshot(**{**facts, **fields})


def used(algorithm: AlgorithmSnapshot, dataset: DatasetSnapshot, **fields: Any) -> Used:
    return Used(algorithm, Material(dataset), **fields)


def algorithm(**training: Any) -> AlgorithmSnapshot:
    return AlgorithmSnapshot(
        id="algo-1",
        name="classifier",
        owner="alice",
        visibility=Visibility.PRIVATE,
        purpose="image/classification",
        formats=("dir",),
        online=True,
        training=TrainingPart(**{"code": REF, "command": ("python", "t.py"), "parameters": PARAMETERS, **training}),
    )


def house(gpus: int = 0, cpu: float = 8.0) -> House:
    devices = tuple(Device(f"gpu-{n}", "gpu", "A100") for n in range(gpus))
    nodes = (Node("one", cpu, 16 << 30, devices),)
    return House(nodes, DEFAULT_SPECS, 3600.0, 7200.0, partial(never_fits, empty_state(nodes)))


def request(**fields: Any) -> JobRequest:
    given_parameters = {"classes": 3, **fields.pop("parameters", {})}
    return JobRequest("一", "algo-1", "ds-1", parameters=given_parameters, **fields)


@pytest.mark.row("T1", "T2", "D8")
@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_ratio_is_a_number_between_nothing_and_everything(ratio: float) -> None:
    faults = list(split_faults(SplitRequest(ratio), brings_test=False))
    assert bool(faults) == (not (math.isfinite(ratio) and 0 < ratio < 1))


@pytest.mark.parametrize("ratio", [0.0, 1.0, 1.5, -0.1, math.nan, math.inf])
def test_the_ratios_that_are_none(ratio: float) -> None:
    with pytest.raises(Invalid) as refused:
        terms_of(request(split=SplitRequest(ratio)), used(algorithm(), dataset()), house())
    assert [fault.where for fault in refused.value.faults] == ["split.ratio"]


@pytest.mark.row("T2")
def test_an_independent_test_set_takes_no_ratio() -> None:
    version = DatasetVersion(id="dsv-1", number=1, digest="d", train=REF, test=REF)
    independent = dataset(test_mode="independent", version=version)
    assert terms_of(request(), used(algorithm(), independent), house()).split is None
    with pytest.raises(Invalid, match="test set"):
        terms_of(request(split=SplitRequest()), used(algorithm(), independent), house())


@pytest.mark.row("T2", "D8")
def test_samples_in_one_file_are_not_split() -> None:
    lines, takes = dataset(format="single_text"), algorithm().model_copy(update={"formats": ("single_text",)})
    assert terms_of(request(), used(takes, lines), house()).split is None
    with pytest.raises(Invalid) as refused:
        terms_of(request(split=SplitRequest()), used(takes, lines), house())
    assert [(fault.where, "one file" in fault.reason) for fault in refused.value.faults] == [("split", True)]


@pytest.mark.row("T2", "D8")
def test_where_it_is_noted_how_samples_lie_in_a_file_they_are_split_as_any() -> None:
    version = DatasetVersion(id="dsv-1", number=1, digest="d", train=REF, annotations=REF)
    rows = dataset(format="single_text", version=version)
    takes = algorithm().model_copy(update={"formats": ("single_text",)})
    assert terms_of(request(), used(takes, rows), house()).split == SplitRequest()
    assert terms_of(request(split=SplitRequest(0.5, 3)), used(takes, rows), house()).split == SplitRequest(0.5, 3)
    assert Material(rows).annotations == REF


def test_all_faults_are_told_at_once() -> None:
    wrong = JobRequest(
        "",
        "algo-1",
        "ds-1",
        description="x" * 256,
        split=SplitRequest(1.5),
        parameters={"epoch": 1, "epochs": 0, "rate": "fast", "color": "cmyk"},
        resources=ResourceRequest(spec="huge"),
        time_limit_seconds=math.nan,
    )
    faults = request_faults(wrong, used(algorithm(), dataset(format="json", purpose="text/entity")), house())
    assert [fault.where for fault in faults] == [
        "name",
        "description",
        "dataset_id",
        "dataset_id",
        "split.ratio",
        "parameters.epoch",
        "parameters.epochs",
        "parameters.rate",
        "parameters.color",
        "parameters.classes",
        "resources.spec",
        "time_limit_seconds",
    ]


def test_a_dataset_without_a_version_is_refused() -> None:
    with pytest.raises(Invalid, match="import"):
        terms_of(request(), used(algorithm(), dataset(version=None)), house())


VALUES = st.one_of(st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.none())


@given(st.sampled_from(["integer", "number", "string", "boolean"]), VALUES)
def test_a_value_without_a_fault_is_of_its_type(kind: Any, value: Any) -> None:
    if value_fault(Parameter(name="p", type=kind), value):
        return
    types: dict[str, Any] = {"integer": int, "number": (int, float), "string": str, "boolean": bool}
    assert isinstance(value, types[kind])
    assert isinstance(value, bool) == (kind == "boolean")
    assert not (isinstance(value, float) and not math.isfinite(value))


@given(st.integers(1, 100), st.floats(0, 1), st.sampled_from(["gray", "rgb"]), st.integers())
def test_good_values_are_taken_as_they_are(epochs: int, rate: float, color: str, classes: int) -> None:
    given_values = {"epochs": epochs, "rate": rate, "color": color, "classes": classes}
    assert list(parameter_faults(PARAMETERS, given_values)) == []
    assert settled(PARAMETERS, given_values) == given_values


def test_defaults_fill_what_is_not_given_and_booleans_are_words() -> None:
    assert settled(PARAMETERS, {"classes": 3}) == {"epochs": 2, "rate": 0.1, "color": "gray", "classes": 3}
    assert (as_text(True), as_text(False), as_text(1e-6), as_text("中")) == ("true", "false", "1e-06", "中")


@pytest.mark.row("T1")
def test_a_spec_means_gpus_where_there_are_some_and_cpus_elsewhere_and_says_so() -> None:
    both = algorithm(devices=("cpu", "gpu"))
    on_gpus = terms_of(request(resources=ResourceRequest(spec="medium")), used(both, dataset()), house(gpus=4))
    assert (on_gpus.resources.accelerator, on_gpus.resources.count, on_gpus.notes) == ("gpu", 2, ())
    on_cpus = terms_of(request(resources=ResourceRequest(spec="large")), used(both, dataset()), house())
    assert (on_cpus.resources.cpu, on_cpus.resources.accelerator) == (4.0, None)
    assert "4 CPUs here" in on_cpus.notes[0]
    cpu_only = terms_of(request(), used(algorithm(), dataset()), house(gpus=4))
    assert cpu_only.resources.accelerator is None
    assert "algorithm" in cpu_only.notes[0]


def test_what_can_never_fit_is_refused_with_the_largest_that_would() -> None:
    asked = ResourceRequest(cpu=2, accelerator="gpu", count=9)
    with pytest.raises(NeverFits) as refused:
        terms_of(request(resources=asked), used(algorithm(devices=("gpu",)), dataset()), house(gpus=4))
    assert refused.value.code == "never_fits"
    assert refused.value.status == 422
    assert refused.value.extra["largest"]["count"] == 4
    asked = ResourceRequest(cpu=1, accelerator="npu", count=1)
    with pytest.raises(NeverFits, match="nothing of that kind"):
        terms_of(request(resources=asked), used(algorithm(devices=("npu",)), dataset()), house(gpus=4))


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        (ResourceRequest(spec="small", cpu=2), "resources"),
        (ResourceRequest(cpu=0), "resources.cpu"),
        (ResourceRequest(cpu=math.inf), "resources.cpu"),
        (ResourceRequest(cpu=1, memory=-1), "resources.memory"),
        (ResourceRequest(cpu=1, nodes=0), "resources.nodes"),
        (ResourceRequest(cpu=1, count=1), "resources.accelerator"),
        (ResourceRequest(cpu=1, accelerator="tpu"), "resources.accelerator"),
        (ResourceRequest(cpu=1, accelerator="gpu"), "resources.accelerator"),
    ],
)
def test_resources_that_are_none(asked: ResourceRequest, where: str) -> None:
    faults = request_faults(request(resources=asked), used(algorithm(), dataset()), house())
    assert [fault.where for fault in faults] == [where]


@pytest.mark.row("T15")
def test_the_time_limit_is_the_platforms_unless_a_shorter_one_is_asked() -> None:
    assert terms_of(request(), used(algorithm(), dataset()), house()).time_limit_seconds == 3600
    assert terms_of(request(time_limit_seconds=60.0), used(algorithm(), dataset()), house()).time_limit_seconds == 60
    for wrong in (0.0, -1.0, 7201.0, math.inf):
        with pytest.raises(Invalid):
            terms_of(request(time_limit_seconds=wrong), used(algorithm(), dataset()), house())
