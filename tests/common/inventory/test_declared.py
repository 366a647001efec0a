"""Nodes that a file declares: every fault with its line, and a broken edit that changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.inventory import FileInventory, parse_declared
from common.kernel.accelerators import parse_accelerators
from common.kernel.errors import Invalid, Unavailable
from common.ports.inventory import Device, Node

pytestmark = pytest.mark.row("T9")

GIB = 1 << 30
HALLS = """
clusters:
  hall-a:
    labels: {site: north}
    domain: ib-0
    nodes:
      - &usual
        name: a100-[09-11]
        cpu: 64
        memory: 512Gi
        domain: ib-1
        labels: {disk: nvme}
        devices:
          - {kind: nvidia.com/gpu, model: A100, memory: 80Gi, count: 2}
      - <<: *usual
        name: spare
        devices: [{kind: gpu, ids: [MIG-c6d4f1ef, 3]}]
  lab:
    simulated: true
    nodes:
      - {name: toy, cpu: 2.5, memory: 4Gi, devices: [{kind: npu, count: 2}, {kind: rocm, model: MI300X}]}
"""
KINDS = parse_accelerators('{"amd.com/gpu": "rocm"}')


def faults(text: str) -> list[str]:
    """Where each fault is."""
    with pytest.raises(Invalid) as caught:
        parse_declared(text)
    assert caught.value.code == "bad_inventory"
    assert caught.value.faults
    return [fault.where for fault in caught.value.faults]


def test_clusters_nodes_and_devices_are_read():
    nodes = {node.name: node for node in parse_declared(HALLS, KINDS)}
    assert list(nodes) == ["a100-09", "a100-10", "a100-11", "spare", "toy"]
    gpus = tuple(Device(f"gpu-{n}", "gpu", "A100", 80 * GIB) for n in range(2))
    labels = {"site": "north", "disk": "nvme"}
    assert nodes["a100-10"] == Node("a100-10", 64, 512 * GIB, gpus, labels, "hall-a", "ib-1")
    assert [device.id for device in nodes["spare"].devices] == ["gpu-MIG-c6d4f1ef", "gpu-3"]
    toy = nodes["toy"]
    assert (toy.cluster, toy.cpu, toy.simulated) == ("lab", 2.5, True)
    assert [(d.id, d.model, d.simulated) for d in toy.devices] == [
        ("npu-0", "simulated npu", True),
        ("npu-1", "simulated npu", True),
        ("rocm-0", "MI300X", True),
    ]
    assert toy.devices[2].resource == "amd.com/gpu"


def test_json_says_the_same_also_indented_by_tabs():
    node = {"name": "n", "cpu": 1, "memory": "1Gi", "simulated": True}
    text = json.dumps({"clusters": {"c": {"nodes": [node]}}}, indent="\t")
    assert parse_declared(text) == (Node("n", 1, GIB, cluster="c", simulated=True),)


def test_every_fault_is_told_with_its_line_and_field():
    assert faults(
        """\
clusters:
  Hall A:
    nodes:
      - name: a-[1-3]
        cpu: many
        memory: -1
        devices:
          - {kind: tpu}
          - {kind: gpu, count: 0}
          - {kind: gpu, ids: [7]}
          - {kind: gpu, ids: [7]}
      - {name: a-2, cpu: 1, memory: 1Gi, colour: red}
      - {cpu: .inf, memory: 1Gi, labels: {"a b": x}, simulated: perhaps}
      - just a word
hosts: []
"""
    ) == [
        "line 15: hosts",
        "line 3: clusters.Hall A",
        "line 5: clusters.Hall A.nodes[0].cpu",
        "line 6: clusters.Hall A.nodes[0].memory",
        "line 8: clusters.Hall A.nodes[0].devices[0].kind",
        "line 9: clusters.Hall A.nodes[0].devices[1].count",
        "line 11: clusters.Hall A.nodes[0].devices[3]",
        "line 12: clusters.Hall A.nodes[1].colour",
        "line 12: clusters.Hall A.nodes[1].name",
        "line 13: clusters.Hall A.nodes[2]",
        "line 13: clusters.Hall A.nodes[2].simulated",
        "line 13: clusters.Hall A.nodes[2].cpu",
        "line 13: clusters.Hall A.nodes[2].labels.a b",
        "line 14: clusters.Hall A.nodes[3]",
    ]


@pytest.mark.parametrize("text", ["", "[]", "a: [", "- x", "clusters: 3", "clusters: {c: {nodes: 3}}", "a: &a [*a]"])
def test_what_is_no_inventory_says_so(text):
    assert all(where.startswith("line ") for where in faults(text))


@pytest.mark.parametrize("name", ["", "A", "a_b", "a-[3-1]", "a-[1-999999]", "x" * 254, "../x", "[1-2]["])
def test_names_that_no_node_can_have(name):
    assert faults(json.dumps({"clusters": {"c": {"nodes": [{"name": name, "cpu": 1, "memory": "1Gi"}]}}}))


@given(st.text() | st.text(alphabet="{}[]:&*-? \nabc<,").map(lambda text: f"clusters:\n  c: {text}"))
def test_no_text_breaks_the_reader(text):
    try:
        parse_declared(text)
    except Invalid as wrong:
        told = wrong.faults
    else:
        told = ()
    assert all(fault.where and fault.reason for fault in told)


async def test_an_edit_is_followed_and_a_broken_one_changes_nothing(tmp_path: Path):
    path = tmp_path / "nodes.yaml"
    path.write_text(HALLS)
    inventory = FileInventory(path, KINDS)
    before = await inventory.nodes()
    path.write_text(HALLS.replace("cpu: 64", "cpu: x"))
    assert await inventory.nodes() is before
    assert any("line 9: clusters.hall-a.nodes[0].cpu" in problem for problem in inventory.problems)
    assert inventory.problems[-1] == "What was declared before stays in force."
    path.unlink()
    assert await inventory.nodes() is before
    assert "can't be read" in inventory.problems[0]
    path.write_text(HALLS.replace("cpu: 64", "cpu: 63"))
    assert (await inventory.nodes())[0].cpu == 63
    assert inventory.problems == ()


async def test_before_anything_good_was_read_there_is_no_answer(tmp_path: Path):
    inventory = FileInventory(tmp_path / "nodes.yaml")
    with pytest.raises(Unavailable, match="can't be read"):
        await inventory.nodes()
    (tmp_path / "nodes.yaml").write_bytes(b"\xff")
    with pytest.raises(Unavailable, match="UTF-8"):
        await inventory.nodes()
