"""What goes with what: purposes, annotations, formats."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.purposes import all_purposes
from dataset_svc.domain.taxonomy import ANNOTATIONS, FORMATS, held_as, taxonomy_faults

GOOD = [
    ("image/classification", "class", "dir"),
    ("image/classification", "class", "json"),
    ("image/detection", "box", "json"),
    ("image/detection", "polygon", "json"),
    ("image/segmentation", "polygon", "json"),
    ("text/classification", "class", "dir"),
    ("text/classification", "class", "single_text"),
    ("text/entity", "entity", "brat_ann"),
    ("text/relation", "relation", "brat_ann"),
]


@pytest.mark.row("D1")
@pytest.mark.parametrize(("purpose", "annotation", "format"), GOOD)
@pytest.mark.parametrize("mode", ["ratio", "independent"])
def test_what_the_seed_knows_is_accepted(purpose, annotation, format, mode):
    assert list(taxonomy_faults(purpose, annotation, format, mode)) == []


@pytest.mark.row("D1")
@pytest.mark.parametrize(
    ("purpose", "annotation", "format", "mode", "wheres"),
    [
        ("image/sculpture", "class", "dir", "ratio", ["purpose"]),
        ("image/classification", "colour", "dir", "ratio", ["annotation"]),
        ("image/classification", "box", "dir", "ratio", ["annotation"]),
        ("image/detection", "class", "dir", "ratio", ["annotation", "format"]),
        ("text/entity", "entity", "dir", "ratio", ["format"]),
        ("text/classification", "class", "lmdb", "half", ["format", "test_mode"]),
        ("", "", "", "", ["purpose", "annotation", "format", "test_mode"]),
    ],
)
def test_what_does_not_go_together_is_said_all_at_once(purpose, annotation, format, mode, wheres):
    faults = list(taxonomy_faults(purpose, annotation, format, mode))
    assert [fault.where for fault in faults] == wheres
    assert all(fault.reason.endswith(".") for fault in faults)


def test_every_known_purpose_has_an_annotation_and_a_format():
    for purpose in all_purposes():
        assert any(purpose.partition("/")[2] in tasks for tasks in ANNOTATIONS.values())
        assert any(purpose in purposes for purposes in FORMATS.values())
    assert {purpose for purposes in FORMATS.values() for purpose in purposes} == set(all_purposes())


@given(annotation=st.sampled_from(sorted(ANNOTATIONS)), format=st.sampled_from(sorted(FORMATS)))
def test_a_purpose_that_was_added_goes_with_everything(annotation, format):
    assert not list(taxonomy_faults("audio/keywords", annotation, format, "ratio", ["audio/keywords"]))
    assert list(taxonomy_faults("audio/keywords", annotation, format, "ratio"))


@pytest.mark.row("D1")
@pytest.mark.parametrize(
    ("purpose", "annotation", "format", "held"),
    [
        ("image/detection", "box", "json", "image/detection"),
        ("image/quality", "class", "dir", "image/classification"),
        ("image/defects", "polygon", "json", "image/detection"),
        ("text/sentiment", "class", "single_text", "text/classification"),
        ("text/events", "relation", "brat_ann", "text/relation"),
        ("audio/keywords", "class", "dir", "audio/keywords"),
        ("text/events", "relation", "dir", "text/events"),
    ],
)
def test_an_added_purpose_is_checked_as_the_known_one_that_fits(purpose, annotation, format, held):
    assert held_as(purpose, annotation, FORMATS[format]) == held
