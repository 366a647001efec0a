"""The examples of docs/guides/dataset-formats.md are what it says they are."""

import re
from pathlib import Path

import pytest

from dataset_svc.importing import run_import
from tests.dataset_svc.archives.builder import Item, build
from tests.dataset_svc.corpus.good import PNG

GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "dataset-formats.md").read_text()
EXAMPLES = re.findall(r"^```(files|bad) (\S+) (\S+) ?(\S*)\n(.*?)^```$", GUIDE, re.M | re.S)


@pytest.mark.row("D1", "D2")
@pytest.mark.parametrize(("kind", "format", "purpose", "code", "text"), EXAMPLES)
def test_an_example_of_the_guide(tmp_path: Path, kind: str, format: str, purpose: str, code: str, text: str) -> None:
    files = re.findall(r"^=== (\S+)\n(.*?)(?=^===|\Z)", text, re.M | re.S)
    items = [Item(path, PNG if path.endswith(".png") else content.encode()) for path, content in files]
    (tmp_path / "a").write_bytes(build(items))
    report = run_import(tmp_path / "a", tmp_path / "out", format=format, purpose=purpose)
    assert [fault.code for fault in report.faults] == ([code] if kind == "bad" else [])


def test_every_format_has_an_example_and_a_bad_one() -> None:
    from dataset_svc.formats import format_names, purposes

    shown = {(format, purpose) for _, format, purpose, *_ in EXAMPLES}
    assert shown == {(format, purpose) for format, all_of_it in purposes().items() for purpose in all_of_it}

    assert {(kind, format) for kind, format, *_ in EXAMPLES} == {
        (kind, name) for kind in ("files", "bad") for name in format_names()
    }
