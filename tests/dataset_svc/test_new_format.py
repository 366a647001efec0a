"""A format that is added as the guide says, by one module and nothing else, has a whole life: datasets, imports in the
child process, samples and formatted sets (row D2)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset_svc.formats import format_names, known
from tests.dataset_svc.conftest import TEXTS, Desk
from tests.dataset_svc.sets.readers import rows
from tests.dataset_svc.test_formatted_sets import content, order, ready

MODULE = '''
"""Texts in files `.note`, each line a class and a text (`cat: meow`). Whatever else there is says something of them."""

import orjson

from dataset_svc.formats import Recorded, Row
from dataset_svc.formats.registry import check_purpose
from dataset_svc.formats.samples import Samples


def read(path, lines):
    for line in lines if path.endswith(".note") else ():
        label, _, text = line.strip().partition(": ")
        yield Row(text, (label,))


class Checker:
    def __init__(self, sink, limits):
        self._sink, self._limits = sink, limits
        self._classes, self._rows, self._samples = {}, {}, {}

    def folder(self, path):
        self._sink.warning("folder", path, "Folders say nothing.")

    def whole(self, path, data):
        if not path.endswith(".note"):
            return
        rows, samples = self._rows.setdefault(path, []), self._samples.setdefault(path, Samples())
        for number, line in enumerate(data.decode().splitlines(), 1):
            label, colon, text = line.partition(": ")
            if not colon:
                self._sink.error("no_class", path, "This line has no class.", number)
                continue
            self._classes[label] = self._classes.get(label, 0) + 1
            samples.add(number, (label,))
            rows.append({"line": number, "text": text, "class": label})

    def stream(self, path, size, chunks):
        data = b"".join(chunks)
        self.whole(path, data)
        yield data

    def finish(self):
        if len(self._classes) < self._limits.min_classes:
            self._sink.error("too_few_classes", "", "There are too few classes.")
        return {"classes": dict(sorted(self._classes.items())), "rows": sum(self._classes.values())}

    def annotations(self):
        for path, rows in self._rows.items():
            yield path, orjson.dumps({"kind": "rows", "total": len(rows), "rows": rows}), ()

    def samples(self):
        return self._samples


class Notes:
    name, purposes = "notes", ("text/classification",)

    def describing(self, purpose):
        return (".md",)

    def recorded(self, purpose):
        return Recorded(rows=read)

    def checker(self, purpose, sink, limits):
        check_purpose(self.name, self.purposes, purpose)
        return Checker(sink, limits)


FORMAT = Notes()
'''

NOTES = {label: [f"{label}: {label} {number}\n" for number in range(4)] for label in ("cat", "dog")}
FILES = {f"{label}.note": "".join(lines).encode() for label, lines in NOTES.items()}
LONG = {"long.note": b"cat: " + b"meow " * 120_000 + b"\n"}
"""It comes in pieces."""


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module lies where formats are found, for this process and for those that it starts."""
    (folder := tmp_path / "known").mkdir()
    (folder / "notes.py").write_text(MODULE)
    (start := tmp_path / "start").mkdir()
    added = f"from dataset_svc.formats import known\nknown.__path__.append({str(folder)!r})\n"
    (start / "sitecustomize.py").write_text(added)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(start), *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.setattr(known, "__path__", [*known.__path__, str(folder)])
    format_names.cache_clear()
    yield
    sys.modules.pop(f"{known.__name__}.notes", None)
    format_names.cache_clear()


DATASET = {"name": "宠物", "purpose": TEXTS, "format": "notes"}


async def test_without_it_there_is_no_such_format(alice: Desk) -> None:
    problem = await alice.refused("POST", "/datasets", 422, "invalid_dataset", json=DATASET)
    assert [fault["where"] for fault in problem["faults"]] == ["format"]


@pytest.mark.row("D1", "D2")
async def test_what_is_wrong_is_told_as_the_format_tells_it(notes: None, alice: Desk) -> None:
    wrong = {**DATASET, "purpose": "image/classification"}
    problem = await alice.refused("POST", "/datasets", 422, "invalid_dataset", json=wrong)
    assert [fault["where"] for fault in problem["faults"]] == ["format"]
    made = await alice.ok("POST", "/datasets", 201, json=DATASET)
    failed = await alice.imported(made["id"], {**FILES, "bird.note": b"bird: tweet\ntweet\n"})
    assert (failed["state"], failed["code"]) == ("failed", "no_class")
    fault = {"severity": "error", "code": "no_class", "file": "bird.note", "reason": "This line has no class."}
    assert failed["report"]["faults"] == [{**fault, "line": 2}]


@pytest.mark.row("D1", "D2", "D5", "D9")
async def test_a_dataset_in_it_is_imported_looked_at_and_cut(notes: None, alice: Desk, tmp_path: Path) -> None:
    made = await alice.ok("POST", "/datasets", 201, json=DATASET)
    done = await alice.imported(made["id"], {**FILES, **LONG, "readme.md": b"of cats and dogs"})
    assert done["state"] == "succeeded", done
    version = (await alice.ok("GET", f"/datasets/{made['id']}"))["current_version"]
    assert (version["files"], version["classes"]) == (4, {"cat": 5, "dog": 4})
    found = await alice.ok("GET", f"/datasets/{made['id']}/samples", params={"class": "dog"})
    [of_dogs] = [item for item in found["items"] if item["annotations"]]
    assert of_dogs["path"] == "dog.note"
    assert [(row["line"], row["text"], row["class"]) for row in of_dogs["annotations"]["rows"]] == [
        (number + 1, f"dog {number}", "dog") for number in range(4)
    ]
    await _cut(alice, made)
    item = await ready(alice, await order(alice, made, "parquet"))
    assert (item["records"], item["classes"]) == (9, {"cat": 5, "dog": 4})
    (folder := tmp_path / "set").mkdir()
    for path, data in (await content(alice, item)).items():
        (folder / path).write_bytes(data)
    read = sorted(row for row in rows("parquet", folder) if row[0] != "long.note")
    assert read == [
        (f"{label}.note", n + 1, place, f"{label} {n}") for place, label in enumerate(NOTES) for n in range(4)
    ]


async def _cut(alice: Desk, dataset: dict[str, str]) -> None:
    """Both halves have lines of each class, and what describes them all."""
    half = await ready(alice, await order(alice, dataset, "raw", ratio=0.5, complement=True))
    rest = await ready(alice, {"id": half["complement"]["id"]})
    one, other = [await content(alice, item) for item in (half, rest)]
    assert one["readme.md"] == other["readme.md"]
    for label, lines in NOTES.items():
        both = [part[f"{label}.note"].decode().splitlines(keepends=True) for part in (one, other)]
        assert all(both)
        assert sorted(both[0] + both[1]) == lines
