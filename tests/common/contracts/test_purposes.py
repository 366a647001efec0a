"""The taxonomy of purposes: known ones, an administrator's own, and clear words for everything else."""

import pytest

from common.contracts.purposes import all_purposes, check_purpose, purpose_faults
from common.kernel.errors import Invalid


@pytest.mark.row("D1")
def test_the_known_purposes():
    assert all_purposes() == (
        "image/classification",
        "image/detection",
        "image/segmentation",
        "text/classification",
        "text/entity",
        "text/relation",
    )
    assert check_purpose("text/entity") == "text/entity"


def test_an_administrator_adds_purposes_as_data():
    assert check_purpose("audio/classification", ["audio/classification"]) == "audio/classification"
    assert purpose_faults("audio/classification", ["audio/classification"]) == []
    with pytest.raises(ValueError, match="first/second"):
        all_purposes(["Audio"])


@pytest.mark.parametrize("text", ["", "image", "image/", "Image/Classification", "image/classification ", "a" * 500])
def test_anything_else_is_refused_with_the_choice(text):
    with pytest.raises(Invalid, match="image/classification, image/detection") as raised:
        check_purpose(text)
    assert raised.value.code == "unknown_purpose"
    assert raised.value.faults[0].where == "purpose"
