"""Kinds of accelerators: names of ours and of vendors, their configuration, and what code is shown."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from common.contracts.shared import Resources
from common.kernel.accelerators import (
    BUILT_IN,
    Accelerator,
    counted_inside,
    device_variables,
    kind_of,
    parse_accelerators,
)
from common.kernel.errors import Invalid

pytestmark = pytest.mark.row("T9")

ROCM = '{"amd.com/gpu": {"kind": "rocm", "variables": ["ROCR_VISIBLE_DEVICES"]}}'


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ("gpu", "gpu"),
        ("nvidia.com/gpu", "gpu"),
        ("huawei.com/Ascend910", "npu"),
        ("rocm", "rocm"),
        ("amd.com/gpu", "amd.com/gpu"),
    ],
)
def test_both_names_of_a_kind_are_taken(asked, kind):
    assert Resources(accelerator=asked, count=1).accelerator == kind


@pytest.mark.parametrize("asked", ["", "GPU", "g p u", "../x", "amd.com/", "/gpu", "x" * 21, "a/b/c"])
def test_what_is_no_name_is_a_fault(asked):
    with pytest.raises(ValidationError, match="kind of accelerator"):
        Resources(accelerator=asked)


def test_more_kinds_are_configured():
    assert parse_accelerators("") == BUILT_IN
    assert parse_accelerators(ROCM) == (*BUILT_IN, Accelerator("rocm", "amd.com/gpu", ("ROCR_VISIBLE_DEVICES",)))
    assert parse_accelerators('{"hygon.com/dcu": "dcu"}')[2] == Accelerator("dcu", "hygon.com/dcu")


def test_a_built_in_kind_may_be_another_vendors():
    (npu, gpu) = parse_accelerators('{"amd.com/gpu": {"kind": "gpu", "variables": ["HIP_VISIBLE_DEVICES"]}}')
    assert (npu.kind, gpu) == ("npu", Accelerator("gpu", "amd.com/gpu", ("HIP_VISIBLE_DEVICES",)))


@pytest.mark.parametrize(
    "text",
    [
        "rocm",
        "[]",
        '{"rocm": "x"}',
        '{"a.b/c": 1}',
        '{"a.b/c": "X"}',
        '{"a.b/c": "cpu"}',
        '{"a.b/c": "x", "a.b/d": "x"}',
        '{"a.b/c": {"kind": "x", "variables": "V"}}',
        '{"a.b/c": {"kind": "x", "colour": "red"}}',
    ],
)
def test_a_wrong_configuration_says_what_is_right(text):
    with pytest.raises(Invalid, match="rite for example") as caught:
        parse_accelerators(text)
    assert caught.value.code == "bad_accelerators"


def test_all_faults_are_told_at_once():
    with pytest.raises(Invalid) as caught:
        parse_accelerators('{"rocm": "X", "a.b/c": {"kind": "y", "variables": "V"}}')
    assert [fault.where for fault in caught.value.faults] == ["rocm", "rocm.kind", "a.b/c.variables"]


@given(st.text())
def test_no_text_breaks_the_reader(text):
    with contextlib.suppress(Invalid):
        assert set(BUILT_IN) & set(parse_accelerators(text))


def test_code_is_shown_exactly_its_devices():
    shown = device_variables(("gpu-0", "gpu-MIG-c6d4f1ef-42e4", "rocm-2"), parse_accelerators(ROCM))
    assert shown == {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "0,MIG-c6d4f1ef-42e4",
        "ASCEND_VISIBLE_DEVICES": "",
        "ASCEND_RT_VISIBLE_DEVICES": "",
        "ROCR_VISIBLE_DEVICES": "2",
    }
    assert kind_of("gpu-MIG-c6d4f1ef-42e4") == "gpu"


def test_in_a_container_that_has_no_others_real_devices_are_counted_from_the_first():
    devices = ("gpu-2", "gpu-5", "npu-3", "gpu-MIG-c6d4f1ef", "rocm-1")
    assert counted_inside(devices, ("gpu", "rocm")) == ("gpu-0", "gpu-1", "npu-3", "gpu-MIG-c6d4f1ef", "rocm-0")
    assert counted_inside(devices, ()) == devices
