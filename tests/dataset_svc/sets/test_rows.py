"""Formatted sets of datasets with many texts in a file: each row is a record (row D9)."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.kernel.errors import Problem
from common.manifests import Entry
from dataset_svc.formats import Row
from dataset_svc.reconcile import rows, sets
from dataset_svc.reconcile.building import build
from dataset_svc.sets import RAW
from tests.dataset_svc.conftest import TEXTS, Desk, Place
from tests.dataset_svc.sets import readers
from tests.dataset_svc.test_annotated_samples import forget_rows
from tests.dataset_svc.test_formatted_sets import content, order, ready

FORMATS = ("webdataset", "tfrecord", "parquet")
ROWS = [(f"联通 {n}" if n % 3 else f'多行\n"引号", {n}', "甲" if n % 5 else "乙") for n in range(50)]
QUOTED = [(text.replace('"', '""'), label) for text, label in ROWS]
MARKED = [f'{{"text": "你 {n}", "entities": [{{"start": 0, "end": 1, "label": "k{n % 2}"}}]}}' for n in range(20)]
SPANS = {"id": "0", "spans": [[0, 1]], "text": "你"}

TABLES: Mapping[str, tuple[str, str]] = {
    "a header": ("all.csv", "label,text\n" + "".join(f'{label},"{text}"\n' for text, label in QUOTED)),
    "no header": ("all.tsv", "\r\n".join(f'"{text}"\t{label}' for text, label in QUOTED)),
    "json lines": ("a/b.jsonl", "\n\n".join(json.dumps({"文本": t, "label": c}, ensure_ascii=False) for t, c in ROWS)),
}


@pytest.fixture
def saved(alice: Desk, tmp_path: Path) -> Callable[[dict[str, Any]], Any]:
    """Brings the files of a set to a folder."""

    async def save(item: dict[str, Any]) -> Path:
        (folder := tmp_path / item["id"]).mkdir()
        for path, data in (await content(alice, item)).items():
            (folder / path).write_bytes(data)
        return folder

    return save


@pytest.mark.row("D9", "D8")
@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
@pytest.mark.parametrize("table", TABLES)
async def test_a_record_is_a_row_of_a_table(alice: Desk, saved: Any, table: str, encoding: str) -> None:
    path, text = TABLES[table]
    dataset = await alice.filled({path: text.encode(encoding)}, purpose=TEXTS, format="single_text")
    for format in FORMATS:
        item = await ready(alice, await order(alice, dataset, format, ratio=0.8, complement=True))
        rest = await ready(alice, {"id": item["complement"]["id"]})
        assert (item["classes"], rest["classes"]) == ({"乙": 8, "甲": 32}, {"乙": 2, "甲": 8})
        assert (item["records"], rest["records"]) == (40, 10)
        sides = [readers.rows(format, await saved(one)) for one in (item, rest)]
        assert sorted(sides[0] + sides[1], key=lambda found: found[1]) == [
            (path, number, int(label == "甲"), text) for number, (text, label) in enumerate(ROWS, 1)
        ]
        assert sides[0] != sorted(sides[0]), "shuffled by the seed"


@pytest.mark.row("D9", "D8")
@pytest.mark.parametrize("format", FORMATS)
async def test_records_are_the_rows_of_the_raw_set_cut_alike(alice: Desk, saved: Any, format: str) -> None:
    lines = [f"text {n},c{n % 3}\n" for n in range(60)]
    files = {"all.csv": "".join(lines).encode(), "README.md": b"passed over"}
    dataset = await alice.filled(files, purpose=TEXTS, format="single_text")
    raw = await ready(alice, await order(alice, dataset, RAW, ratio=0.7, seed=5))
    item = await ready(alice, await order(alice, dataset, format, ratio=0.7, seed=5))
    again = await ready(alice, await order(alice, dataset, format, ratio=0.7, seed=5))
    assert item["manifest"]["digest"] == again["manifest"]["digest"]
    assert item["classes"] == raw["classes"]
    found = readers.rows(format, await saved(item))
    assert [lines[number - 1] for _, number, _, _ in found] == [f"{text},c{label}\n" for _, _, label, text in found]
    kept = (await content(alice, raw))["all.csv"].decode().splitlines(keepends=True)
    assert sorted(lines[number - 1] for _, number, _, _ in found) == sorted(kept)
    whole = await ready(alice, await order(alice, dataset, format))
    assert (whole["records"], whole["classes"]) == (60, {"c0": 20, "c1": 20, "c2": 20})


@pytest.mark.row("D9")
@pytest.mark.parametrize(
    ("format", "path", "text"),
    [
        ("single_text", "all.conll", "".join(f"你\tB-k{n % 2}\n{n}\tO\n\n" for n in range(20))),
        ("single_text", "all.jsonl", "\n".join(MARKED)),
        ("json", "all.ndjson", "\n".join(MARKED)),
        ("json", "all.json", f"[{','.join(MARKED)}]"),
    ],
)
async def test_rows_hold_their_entities(alice: Desk, saved: Any, format: str, path: str, text: str) -> None:
    files = {path: text.encode()}
    dataset = await alice.filled(files, purpose="text/entity", annotation="entity", format=format)
    for wanted in FORMATS:
        item = await ready(alice, await order(alice, dataset, wanted, ratio=0.5, complement=True))
        rest = await ready(alice, {"id": item["complement"]["id"]})
        again = await ready(alice, await order(alice, dataset, wanted, ratio=0.5))
        assert item["manifest"]["digest"] == again["manifest"]["digest"]
        assert (item["records"], item["classes"], rest["classes"]) == (10, {"k0": 5, "k1": 5}, {"k0": 5, "k1": 5})
        folder = await saved(item)
        found = readers.rows(wanted, folder)
        assert {label for _, _, label, _ in found} == {None}
        assert len({number for _, number, _, _ in found}) == 10
        expected = [{"class": f"k{(number - 1) % 2}", **SPANS} for _, number, _, _ in found]
        assert [one["entities"] for one in readers.marked(wanted, folder)] == [[entity] for entity in expected]


@pytest.mark.row("D9")
async def test_rows_that_an_old_import_did_not_note_hold_their_entities_too(
    place: Place, alice: Desk, saved: Any
) -> None:
    files = {"all.jsonl": "\n".join(MARKED).encode()}
    dataset = await alice.filled(files, purpose="text/entity", annotation="entity", format="json")
    await forget_rows(place, dataset["id"])
    for format in FORMATS:
        item = await ready(alice, await order(alice, dataset, format, version=1))
        assert (item["records"], item["classes"]) == (20, {"k0": 10, "k1": 10})
        folder = await saved(item)
        found = readers.rows(format, folder)
        assert {label for _, _, label, _ in found} == {None}
        expected = [{"class": f"k{(number - 1) % 2}", **SPANS} for _, number, _, _ in found]
        assert [one["entities"] for one in readers.marked(format, folder)] == [[entity] for entity in expected]


@pytest.mark.row("D9")
async def test_reading_the_rows_is_half_of_a_set(alice: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []

    async def watched(context: Any, item: Any, folder: Path, tell: Any) -> Any:
        return await build(context, item, folder, told.append)

    monkeypatch.setattr(sets, "build", watched)
    files = {path: text.encode() for path, text in (TABLES["no header"],)}
    dataset = await alice.filled(files, purpose=TEXTS, format="single_text")
    for more in ({}, {"ratio": 0.5}):
        await ready(alice, await order(alice, dataset, "parquet", **more))
        assert told == sorted(told)
        assert 0 < told[0] < 0.1
        assert any(0.4 < part <= 0.5 for part in told)
        assert told[-1] == 1
        told.clear()


async def test_when_a_file_can_not_be_fetched_the_others_are_no_longer_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is removed then."""
    ended: list[str] = []

    async def fetch(files: Any, ref: Any, entry: Entry, to: Path) -> None:
        if entry.path == "2":
            raise Problem("file_corrupt", "It is damaged.")
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(entry.path)

    monkeypatch.setattr(rows, "fetch", fetch)
    nothing: Any = SimpleNamespace(origin=SimpleNamespace(manifest=None))
    with rows.row_pile(tmp_path / "pile") as pile:
        reading = rows._Reading(nothing, nothing, nothing, nothing, pile, tmp_path, nothing, nothing)
        with pytest.raises(Problem, match="damaged"):
            await reading.whole([Entry(str(number), 0, "", 0, 0) for number in range(3)])
        assert sorted(ended) == ["0", "1"]


def test_what_is_marked_counts_for_how_many_rows_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_BATCH_CHARACTERS", 1000)
    item: Any = SimpleNamespace(origin=SimpleNamespace(has_objects=True))
    with rows.row_pile(tmp_path / "pile") as pile:
        pile.extend(rows.Placed("a", number, Row("x", (), b"y" * 400)) for number in range(5))
        assert len(rows.RowRecords(item, pile, {}, ())._next(iter(range(5)), {})) == 3


@pytest.mark.row("D9")
async def test_texts_in_files_lines_and_lists_are_records_alike(alice: Desk, saved: Any) -> None:
    files = {f"{n}.json": MARKED[n].encode("gb18030") for n in range(5)}
    files |= {"some.jsonl": "\n".join(MARKED[5:12]).encode(), "list.json": f"[{','.join(MARKED[12:])}]".encode()}
    dataset = await alice.filled(files, purpose="text/entity", annotation="entity", format="json")
    item = await ready(alice, await order(alice, dataset, "parquet", ratio=0.5, complement=True))
    rest = await ready(alice, {"id": item["complement"]["id"]})
    texts = [text for one in (item, rest) for *_, text in readers.rows("parquet", await saved(one))]
    assert sorted(texts) == sorted(json.loads(one)["text"] for one in MARKED)
    assert item["records"] + rest["records"] == 20


@pytest.mark.row("D8", "D9")
@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
async def test_a_list_of_texts_is_parted_by_its_elements(alice: Desk, encoding: str) -> None:
    """One file whose test side was empty: a split went by files alone."""
    files = {"all.json": f"\n[ {' ,'.join(MARKED)}\n]".encode(encoding)}
    dataset = await alice.filled(files, purpose="text/entity", annotation="entity", format="json")
    item = await ready(alice, await order(alice, dataset, RAW, ratio=0.8, complement=True))
    rest = await ready(alice, {"id": item["complement"]["id"]})
    sides = [json.loads((await content(alice, one))["all.json"].decode(encoding)) for one in (item, rest)]
    assert [len(side) for side in sides] == [item["records"], rest["records"]] == [16, 4]
    assert [Counter(one["entities"][0]["label"] for one in side) for side in sides] == [
        item["classes"],
        rest["classes"],
    ]
    assert sorted(one["text"] for side in sides for one in side) == sorted(json.loads(one)["text"] for one in MARKED)


@pytest.mark.parametrize("format", ["parquet", RAW])
async def test_a_table_whose_bytes_are_damaged_is_not_cut(place: Place, alice: Desk, format: str) -> None:
    lines = "".join(f"text {n},c{n % 2}\n" for n in range(20))
    dataset = await alice.filled({"all.csv": f"text,label\n{lines}".encode()}, purpose=TEXTS, format="single_text")
    [pack] = [key for key in await place.keys("datasets/") if "pack-" in key and "annotated" not in key]
    stored = await place.context.files.read(pack)
    await place.context.files.delete(pack)
    await place.context.files.put(pack, stored.replace(b"text 7", b"text 8"))
    item = await ready(alice, await order(alice, dataset, format, ratio=0.5), "failed")
    assert item["code"] == "file_corrupt"


async def test_a_side_without_rows_is_a_failure_that_says_so(alice: Desk) -> None:
    files = {"all.csv": b"a,cat\nb,dog\n"}
    dataset = await alice.filled(files, purpose=TEXTS, format="single_text")
    item = await ready(alice, await order(alice, dataset, "parquet", ratio=0.5, side="held_out"), "failed")
    assert item["code"] == "empty_set"
