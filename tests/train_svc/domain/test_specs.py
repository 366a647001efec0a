"""What named specs and free requests come to, on one cluster and on several, with accelerators and without."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.shared import Resources
from common.ports.inventory import Device, Node
from train_svc.domain.job import ResourceRequest
from train_svc.domain.specs import DEFAULT_SPECS, Grounds, Spec, normalised, request_faults, settled, spec_faults

pytestmark = pytest.mark.row("T9")

ANY = ("cpu", "gpu", "npu", "rocm")


def node(name: str, cluster: str, **kinds: int) -> Node:
    vendors = {"rocm": "amd.com/gpu"}
    devices = tuple(
        Device(f"{kind}-{n}", kind, "M", resource=vendors.get(kind, ""))
        for kind, count in kinds.items()
        for n in range(count)
    )
    return Node(name, 8, 1 << 30, devices, cluster=cluster)


def grounds(*nodes: Node, **of_clusters: dict[str, Spec]) -> Grounds:
    return Grounds.of(DEFAULT_SPECS, of_clusters, nodes)


GPUS, NPUS, PLAIN = node("a", "gpus", gpu=4), node("b", "npus", npu=8), node("c", "plain")
ALL = grounds(GPUS, NPUS, PLAIN)


def come_to(request: ResourceRequest, on: Grounds = ALL, devices: tuple[str, ...] = ANY) -> tuple[Resources, str]:
    assert list(request_faults(request, on, devices)) == []
    resources, notes = settled(request, on, devices)
    return resources, " ".join(notes)


@pytest.mark.parametrize(("name", "count"), [("small", 1), ("medium", 2), ("large", 4)])
def test_the_names_of_seed_003(name: str, count: int) -> None:
    assert come_to(ResourceRequest(name), grounds(GPUS)) == (Resources(accelerator="gpu", count=count), "")
    resources, notes = come_to(ResourceRequest(name), grounds(PLAIN))
    assert (resources.cpu, resources.accelerator, resources.count) == (count, None, 0)
    assert f"means {count} CPU" in notes
    assert "this installation has no accelerators" in notes


def test_a_cluster_without_gpus_says_so_where_others_have_some() -> None:
    resources, notes = come_to(ResourceRequest("small", cluster="plain"))
    assert (resources.cluster, resources.count) == ("plain", 0)
    assert notes == "'small' means 1 CPU on the cluster plain: it has no accelerators."
    resources, notes = come_to(ResourceRequest("small", cluster="npus"))
    assert (resources.accelerator, resources.count, notes) == ("npu", 1, "")
    resources, notes = come_to(ResourceRequest("small"))
    assert (resources.accelerator, resources.cluster, notes) == ("gpu", None, "")


def test_what_an_administrator_says_of_one_cluster_holds_there() -> None:
    own = Spec(2, cpu=8, memory=1 << 20, model="M", nodes=3, selectors={"disk": "nvme"})
    on = grounds(GPUS, NPUS, PLAIN, gpus={"small": own, "huge": own})
    asked = ResourceRequest("small", cluster="gpus", selectors={"site": "north"}, nodes=2)
    resources, notes = come_to(asked, on)
    assert resources == Resources(
        cpu=8,
        memory=1 << 20,
        accelerator="gpu",
        model="M",
        count=2,
        nodes=2,
        selectors={"disk": "nvme", "site": "north"},
        cluster="gpus",
    )
    resources, notes = come_to(ResourceRequest("small"), on)
    assert (resources.cluster, resources.nodes) == ("gpus", 3)
    assert notes == "'small' is taken on the cluster gpus; on npus, plain it can mean something else."
    resources, notes = come_to(ResourceRequest("huge"), on)
    assert (resources.cluster, notes) == ("gpus", "'huge' is taken on the cluster gpus.")
    (fault,) = request_faults(ResourceRequest("huge", cluster="npus"), on, ANY)
    assert "means nothing on the cluster npus" in fault.reason
    resources, notes = come_to(ResourceRequest("small"), on, ("cpu", "npu"))
    assert (resources.cluster, resources.accelerator) == ("npus", "npu"), "code that runs on NPUs goes where they are"


def test_a_spec_of_cpus_alone_is_the_same_everywhere() -> None:
    on = Grounds.of({**DEFAULT_SPECS, "wide": Spec(cpu=16)}, {}, [GPUS, PLAIN])
    assert come_to(ResourceRequest("wide"), on) == (Resources(cpu=16), "")


@pytest.mark.parametrize("name", ["rocm", "amd.com/gpu"])
def test_a_kind_is_asked_for_by_either_of_its_names(name: str) -> None:
    on = grounds(node("d", "amd", rocm=2))
    resources, _ = come_to(ResourceRequest(accelerator=name, count=2, model="M", nodes=2), on, ("amd.com/gpu",))
    assert resources == Resources(accelerator="rocm", count=2, model="M", nodes=2)
    assert normalised(Resources(accelerator=name, count=1), on).accelerator == "rocm"


def test_every_fault_is_told_at_once() -> None:
    request = ResourceRequest(
        cpu=float("nan"), memory=-1, accelerator="tpu", count=0, nodes=0, selectors={"a b": "ü"}, cluster="mars"
    )
    assert [fault.where for fault in request_faults(request, ALL, ANY)] == [
        "resources.cluster",
        "resources.selectors.a b",
        "resources.selectors.a b",
        "resources.nodes",
        "resources.memory",
        "resources.cpu",
        "resources.accelerator",
        "resources.count",
    ]
    bad = ResourceRequest("tiny", cpu=1, memory=-1)
    assert [fault.where for fault in request_faults(bad, ALL, ANY)] == [
        "resources.memory",
        "resources.spec",
        "resources",
    ]
    (fault,) = request_faults(ResourceRequest(cpu=1, model="A100"), ALL, ANY)
    assert fault.reason == "Say which kind the model is of: gpu and npu."


def test_what_an_administrator_says_is_checked_whole() -> None:
    wrong = Spec(-1, "tpu", float("inf"), -1, None, 0, {"": "x"})
    assert [fault.where for fault in spec_faults(wrong, ["gpu"])] == [
        "count",
        "accelerator",
        "cpu",
        "memory",
        "nodes",
        "selectors.",
    ]
    assert [fault.where for fault in spec_faults(Spec(0, model="M"), ["gpu"])] == ["model"]


AMOUNTS = st.builds(
    Spec,
    count=st.integers(0, 8),
    accelerator=st.sampled_from(["gpu", "npu"]),
    cpu=st.sampled_from([0.5, 1.0, 4.0]),
    model=st.none() | st.just("M"),
)


@given(st.dictionaries(st.sampled_from(["gpus", "npus", "plain"]), st.just("small")), st.data())
def test_whatever_names_mean_a_request_comes_to_something_that_its_cluster_has(own: Any, data: st.DataObject) -> None:
    of_clusters = {cluster: {name: data.draw(AMOUNTS)} for cluster, name in own.items()}
    on = Grounds.of(DEFAULT_SPECS, of_clusters, [GPUS, NPUS, PLAIN])
    cluster = data.draw(st.none() | st.sampled_from(["gpus", "npus", "plain"]))
    resources, notes = settled(ResourceRequest("small", cluster=cluster), on, ANY)
    assert cluster in (None, resources.cluster)
    if resources.count:
        assert resources.accelerator in on.kinds([resources.cluster] if resources.cluster else on.clusters)
    else:
        assert resources.accelerator is None
        assert resources.cpu > 0
    if of_clusters and cluster is None:
        assert notes or not resources.cluster
