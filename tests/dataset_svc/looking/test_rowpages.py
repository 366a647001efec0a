"""Pages of samples of files that hold many are right, bearable and honest, whatever is in the files (row D5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from dataset_svc.formats.marked import Marked, shown
from dataset_svc.looking import rowpages
from tests.dataset_svc.conftest import Desk, Place
from tests.dataset_svc.test_annotated_samples import TEXTS_OF, as_csv, paged, table

ENTITIES = {"purpose": "text/entity", "annotation": "entity", "format": "json"}


def text(said: str, *entities: Any, **more: Any) -> str:
    return orjson.dumps({"text": said, "entities": list(entities), **more}).decode()


def in_lines(*texts: str) -> str:
    return "\n".join(texts)


def in_a_list(*texts: str) -> str:
    return f"[{', '.join(texts)}]"


@pytest.mark.row("D5")
@pytest.mark.parametrize(("name", "of"), [("a.jsonl", in_lines), ("a.json", in_a_list)])
async def test_a_page_is_in_the_encoding_of_its_whole_file(alice: Desk, name: str, of: Callable[..., str]) -> None:
    """The bytes of 猫 in GB18030 are UTF-8 as well."""
    texts = [text("猫", [0, 1, "a"]), text("猫", [0, 1, "a"]), text("好的", [0, 1, "b"])]
    files = {name: of(*texts).encode("gb18030"), "other.jsonl": text("狗", [0, 1, "c"]).encode()}
    made = await alice.filled(files, **ENTITIES)
    path = f"/datasets/{made['id']}/samples"
    assert [row["text"] for row in await paged(alice, path, 9, **{"class": "a"})] == ["猫", "猫"]
    assert [row["text"] for row in await paged(alice, path, 1)] == ["猫", "猫", "好的", "狗"]


@pytest.mark.row("D5")
async def test_of_a_text_with_very_much_in_it_a_page_shows_a_bearable_part(alice: Desk) -> None:
    many = text("字" * 2_000, *([0, 2_000, "k"] for _ in range(20_000)))
    made = await alice.filled({"a.jsonl": in_lines(many, many).encode()}, **ENTITIES)
    [page] = (await alice.ok("GET", f"/datasets/{made['id']}/samples", params={"limit": 1}))["items"]
    [row] = page["annotations"]["rows"]
    assert [len(entity["text"]) for entity in row["entities"]] == [200] * 1_000
    assert row["text"] == "字" * 2_000


@pytest.mark.row("D5")
async def test_a_page_ends_where_what_it_shows_is_too_much(alice: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [text(f"{number:03}" + "字" * 100, *([0, 100, "k"] for _ in range(20))) for number in range(40)]
    made = await alice.filled({"a.jsonl": in_lines(*texts).encode()}, **ENTITIES)
    monkeypatch.setattr(rowpages, "_MOST_BYTES", 50_000)
    path = f"/datasets/{made['id']}/samples"
    first = await alice.ok("GET", path, params={"limit": 40})
    assert 1 < len(first["items"][0]["annotations"]["rows"]) < 10
    assert [int(row["text"][:3]) for row in await paged(alice, path, 40)] == list(range(40))


def test_relations_of_what_is_not_shown_are_not_shown() -> None:
    entities = [{"id": str(at), "class": "k", "spans": [[at, at + 1]], "text": "x"} for at in (0, 1, 5_000)]
    relations = [{"id": end, "class": "r", "from": "0", "to": end} for end in ("1", "5000")]
    found = shown(1, Marked("x" * 6_000, entities, relations))
    assert (found["entities"], found["relations"]) == (entities[:2], relations[:1])
    assert "relations" not in shown(1, Marked("x" * 6_000, entities, relations[1:]))


DAMAGES = {
    "no JSON": ("a.jsonl", in_lines, b"entities", b"entiti}s"),
    "no object": ("a.json", in_a_list, b"}", b" "),
    "no text": ("a.jsonl", in_lines, b"text", b"tex\xff"),
    "no entities": ("a.json", in_a_list, b"entities", b"entitys_"),
    "fewer": ("a.jsonl", in_lines, b'{"text":"b","entities":[]}', b" " * 26),
}


@pytest.mark.row("D5")
@pytest.mark.parametrize("damage", DAMAGES)
async def test_damaged_samples_are_told_as_such(place: Place, alice: Desk, damage: str) -> None:
    name, of, good, bad = DAMAGES[damage]
    content = of(text("a", [0, 1, "k"]), text("b"), text("c")).encode()
    made = await alice.filled({name: content}, **ENTITIES)
    await damaged(place, content, content.replace(good, bad))
    await alice.refused("GET", f"/datasets/{made['id']}/samples", 500, "file_corrupt")


@pytest.mark.row("D5")
async def test_a_damaged_note_of_where_samples_lie_is_told_as_such(place: Place, alice: Desk) -> None:
    made = await alice.filled(as_csv(table(20)), **TEXTS_OF)
    await damaged(place, "差评".encode(), b"xxxxxx", of="annotated")
    await alice.refused("GET", f"/datasets/{made['id']}/samples", 500, "file_corrupt")


async def damaged(place: Place, good: bytes, bad: bytes, of: str = "") -> None:
    """Bytes of what is stored are others."""
    packs = [key for key in await place.keys("datasets/") if "pack-" in key and ("annotated" in key) == bool(of)]
    for pack in packs:
        stored = await place.context.files.read(pack)
        assert good in stored
        await place.context.files.delete(pack)
        await place.context.files.put(pack, stored.replace(good, bad))


@pytest.mark.row("D5")
async def test_a_rare_class_is_found_without_looking_into_every_file(alice: Desk) -> None:
    files = {f"{number:02}.json": in_a_list(text("a", [0, 1, "k"])).encode() for number in range(30)}
    files["20.json"] = in_a_list(text("a", [0, 1, "rare"])).encode()
    made = await alice.filled(files, **ENTITIES)
    page = await alice.ok("GET", f"/datasets/{made['id']}/samples", params={"class": "rare", "limit": 1})
    assert ([item["path"] for item in page["items"]], page["next_cursor"]) == (["20.json"], None)


@pytest.mark.row("D5")
async def test_of_a_file_with_very_many_classes_each_is_found(alice: Desk) -> None:
    texts = [text("a", [0, 1, f"k{number}"]) for number in range(1_500)]
    made = await alice.filled({"a.jsonl": in_lines(*texts).encode()}, **ENTITIES)
    path = f"/datasets/{made['id']}/samples"
    assert [row["line"] for row in await paged(alice, path, 9, **{"class": "k1499"})] == [1_500]
