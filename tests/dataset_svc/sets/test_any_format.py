"""A format of datasets says itself what the records of its formatted sets are: adding one touches no other file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dataset_svc.formats import format_names, known
from dataset_svc.storage import DATASETS
from tests.dataset_svc.conftest import TEXTS, Desk, Place
from tests.dataset_svc.sets.readers import rows
from tests.dataset_svc.test_formatted_sets import content, order, ready

MODULE = """
from dataset_svc.formats import Recorded, Row

def read(path, lines):
    for line in lines:
        label, _, text = line.strip().partition(": ")
        yield Row(text, (label,))

class Notes:
    name, purposes = "notes", ("text/classification",)

    def describing(self, purpose):
        return ()

    def recorded(self, purpose):
        return {recorded}

FORMAT = Notes()
"""


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Adds a module to the formats, as a file in their folder."""
    (folder := tmp_path / "known").mkdir()
    monkeypatch.setattr(known, "__path__", [*known.__path__, str(folder)])

    def written(recorded: str) -> None:
        (folder / "notes.py").write_text(MODULE.format(recorded=recorded))
        monkeypatch.delitem(__import__("sys").modules, f"{known.__name__}.notes", raising=False)
        format_names.cache_clear()

    yield written
    format_names.cache_clear()


async def noted(place: Place, alice: Desk) -> dict[str, Any]:
    """A dataset in that format: its import runs in a process that knows nothing of this test."""
    files = {f"{label}/1.txt": f"{label}: a\n{label}: b\n".encode() for label in ("cat", "dog")}
    dataset = await alice.filled(files, purpose=TEXTS)
    async with place.context.store.work() as uow:
        found = await DATASETS.get(uow.connection, dataset["id"])
        await DATASETS.save(uow.connection, replace(found, format="notes"), now=uow.clock.now())
    return dataset


@pytest.mark.row("D2", "D9")
async def test_a_format_that_was_added_has_its_sets(place: Place, alice: Desk, add: Any, tmp_path: Path) -> None:
    add("Recorded(rows=read)")
    dataset = await noted(place, alice)
    item = await ready(alice, await order(alice, dataset, "parquet"))
    assert (item["records"], item["classes"]) == (4, {"cat": 2, "dog": 2})
    (folder := tmp_path / "set").mkdir()
    for path, data in (await content(alice, item)).items():
        (folder / path).write_bytes(data)
    assert sorted(rows("parquet", folder)) == [
        (f"{label}/1.txt", number, place, text)
        for place, label in enumerate(("cat", "dog"))
        for number, text in ((1, "a"), (2, "b"))
    ]


@pytest.mark.row("D9")
async def test_a_format_that_has_no_records_says_why(place: Place, alice: Desk, add: Any) -> None:
    add('Recorded(refusal="notes belong together.")')
    dataset = await noted(place, alice)
    body = {"dataset_id": dataset["id"], "format": "parquet"}
    problem = await alice.refused("POST", "/formatted-sets", 422, "invalid_formatted_set", json=body)
    reason = "A text/classification dataset in format 'notes' has raw sets only: notes belong together."
    assert problem["faults"] == [{"where": "format", "reason": reason}]
    assert (await ready(alice, await order(alice, dataset, "raw")))["records"] == 2
