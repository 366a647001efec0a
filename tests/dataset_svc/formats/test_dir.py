"""The format dir: a folder for each class."""

import pytest

from common.kernel.errors import Invalid
from dataset_svc.formats import ContentLimits, format_names, formats_for, get_format
from tests.dataset_svc.formats.sinks import Heard

TEXT = "text/classification"


def run(files: list[str], folders: tuple[str, ...] = (), min_classes: int = 2) -> tuple[Heard, dict[str, object]]:
    heard = Heard()
    checker = get_format("dir").checker(TEXT, heard, ContentLimits(min_classes=min_classes))
    for folder in folders:
        checker.folder(folder)
    for number, path in enumerate(files):
        if number % 2:
            list(checker.stream(path, 4, iter([b"te", b"xt"])))
        else:
            checker.whole(path, b"text")
    return heard, checker.finish()


@pytest.mark.row("D5")
def test_classes_are_counted() -> None:
    heard, summary = run(["dog/1", "cat/1", "cat/2", "cat/deep/3"])
    assert heard.errors == []
    assert summary["classes"] == {"cat": 3, "dog": 1}


@pytest.mark.row("D2")
def test_an_empty_class_folder_is_an_error() -> None:
    heard, _ = run(["dog/1", "cat/1"], ("dog", "bird", "fish/inner"))
    assert heard.errors == [("empty_class", "bird"), ("empty_class", "fish")]


def test_files_outside_any_class() -> None:
    assert run(["dog/1", "readme", "cat/1", "notes"])[0].errors == [
        ("outside_class", "readme"),
        ("outside_class", "notes"),
    ]


@pytest.mark.parametrize(
    ("files", "least", "ok"), [(["a/1"], 2, False), (["a/1"], 1, True), ([], 1, False), (["1"], 2, False)]
)
def test_too_few_classes(files: list[str], least: int, ok: bool) -> None:
    assert (("too_few_classes", "") not in run(files, min_classes=least)[0].errors) == ok


def test_the_registry() -> None:
    assert format_names() == ("brat_ann", "dir", "json", "single_text")
    assert formats_for(TEXT) == ("dir", "single_text")
    assert formats_for("image/detection") == ("json",)
    assert formats_for("audio/classification") == ()
    with pytest.raises(Invalid) as unknown:
        get_format("coco3d")
    assert unknown.value.code == "unknown_format"
    with pytest.raises(Invalid) as wrong:
        get_format("dir").checker("image/detection", Heard(), ContentLimits())
    assert wrong.value.code == "format_purpose"
