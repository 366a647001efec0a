"""Sample pages say what is annotated: boxes on images, entities in texts, rows of a table (row D5)."""

import io
import tarfile
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from sqlalchemy import select, update

from common import manifests
from dataset_svc.importing.annotated import entry_of
from dataset_svc.schemas.annotations import AnnotationsOut
from dataset_svc.schemas.details import FiguresOut
from dataset_svc.schemas.reports import ReportOut
from dataset_svc.storage import versions
from dataset_svc.usecases.samples import cursor_of
from tests.dataset_svc.archives.makers import tar_gz
from tests.dataset_svc.archives.rars import rar
from tests.dataset_svc.conftest import Desk, Place
from tests.dataset_svc.corpus.good import ROWS, annotation, boxes, brat, coco, with_coco

DETECT = {"purpose": "image/detection", "annotation": "box", "format": "json"}


@pytest.mark.row("D2", "D5")
async def test_boxes_come_with_the_images(alice):
    made = await alice.create(**DETECT)
    done = await alice.imported(made["id"], rar(with_coco(coco())))
    assert done["state"] == "succeeded", done
    version = await alice.ok("GET", f"/datasets/{made['id']}/versions/1")
    assert version["classes"] == {"dog": 1, "猫": 1}
    assert version["train"]["figures"]["objects"] == {"dog": 1, "猫": 1}
    assert version["train"]["files"] == 3
    assert len(version["preview"]) == 3

    page = await alice.ok("GET", f"/datasets/{made['id']}/samples")
    drawn = {item["path"]: item["annotations"] for item in page["items"]}
    assert drawn["annotations/instances.json"] is None
    assert drawn["images/1.png"]["objects"][0]["box"] == [1, 1, 5, 5]
    [dog] = (await alice.ok("GET", f"/datasets/{made['id']}/samples", params={"class": "dog"}))["items"]
    assert (dog["path"], dog["class"], dog["annotations"]["width"]) == ("images/2.png", "", 20)
    assert (await alice.ok("GET", f"/datasets/{made['id']}/samples", params={"class": "bird"}))["items"] == []


@pytest.mark.row("D5")
async def test_pages_of_one_class(alice):
    drawn = [annotation(id=number, image_id=number) for number in (1, 2)]
    made = await alice.filled(boxes(*drawn), **DETECT)
    path = f"/datasets/{made['id']}/samples"
    first = await alice.ok("GET", path, params={"class": "猫", "limit": 1})
    assert [item["path"] for item in first["items"]] == ["images/1.png"]
    second = await alice.ok("GET", path, params={"class": "猫", "limit": 1, "cursor": first["next_cursor"]})
    assert [item["path"] for item in second["items"]] == ["images/2.png"]
    assert second["next_cursor"] is None
    for query, names in (
        ({"class": "猫", "q": "2.PNG"}, ["2"]),
        ({"q": "1."}, ["1"]),
        ({"class": "dog", "q": "1"}, []),
    ):
        items = (await alice.ok("GET", path, params=query))["items"]
        assert [item["path"] for item in items] == [f"images/{name}.png" for name in names]
        assert all(item["annotations"]["objects"] for item in items)


@pytest.mark.row("D2", "D5")
async def test_entities_and_rows(alice):
    made = await alice.create(purpose="text/relation", annotation="relation", format="brat_ann")
    assert (await alice.imported(made["id"], tar_gz(brat())))["state"] == "succeeded"
    items = (await alice.ok("GET", f"/datasets/{made['id']}/samples", params={"class": "Person"}))["items"]
    assert [entity["text"] for entity in items[0]["annotations"]["entities"]] == ["张三", "北京"]
    again = await alice.imported(made["id"], brat())
    assert (again["state"], again["unchanged"]) == ("succeeded", True)

    made = await alice.filled({"t.csv": ROWS}, purpose="text/classification", annotation="class", format="single_text")
    [item] = (await alice.ok("GET", f"/datasets/{made['id']}/samples"))["items"]
    assert item["annotations"]["rows"][0] == {"line": 2, "text": "好吃", "class": "好评"}


@pytest.mark.row("D2")
async def test_a_wrong_annotation_is_named_and_the_dataset_stays_as_it_was(alice):
    made = await alice.filled(with_coco(coco()), **DETECT)
    before = await alice.ok("GET", f"/datasets/{made['id']}")
    done = await alice.imported(made["id"], boxes(annotation(bbox=[15, 5, 90, 3])))
    assert (done["state"], done["code"]) == ("failed", "box_outside")
    assert done["reason"].startswith("annotations/instances.json: annotation 1: it reaches from")
    link = io.BytesIO()
    with tarfile.open(fileobj=link, mode="w") as archive:
        member = tarfile.TarInfo("images/1.png")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    assert (await alice.imported(made["id"], link.getvalue()))["code"] == "link"
    after = await alice.ok("GET", f"/datasets/{made['id']}")
    assert after["current_version"] == before["current_version"]
    item = (await alice.ok("GET", f"/datasets/{made['id']}/samples"))["items"][1]
    assert (await alice.client.get(item["url"].removeprefix("/api/v1"))).status_code == 200


TEXTS_OF = {"purpose": "text/classification", "annotation": "class", "format": "single_text"}


def table(count: int) -> list[tuple[str, str]]:
    """Texts and their classes; one in ten is 差评, over two lines."""
    return [
        (f"第{n}条,\n还行" if n % 10 == 3 else f"text {n}", "差评" if n % 10 == 3 else "好评") for n in range(count)
    ]


def as_csv(rows: list[tuple[str, str]], encoding: str = "utf-8-sig") -> dict[str, bytes]:
    lines = ["label,text", *(f'{label},"{text}"' for text, label in rows)]
    return {"评论.csv": "\n".join(lines).encode(encoding), "README.md": b"# about"}


def as_lines(rows: list[tuple[str, str]]) -> dict[str, bytes]:
    return {"t.jsonl": b"\n\n".join(orjson.dumps({"text": text, "label": label}) for text, label in rows)}


def without_head(rows: list[tuple[str, str]]) -> dict[str, bytes]:
    return {"t.tsv": "\n".join(f'"{text}"\t{label}' for text, label in rows).encode("gb18030")}


async def paged(desk: Desk, path: str, limit: int, **query: str) -> list[dict[str, Any]]:
    """All rows, a page after the other."""
    found: list[dict[str, Any]] = []
    more: dict[str, str] = {}
    while True:
        page = await desk.ok("GET", path, params={"limit": limit, **query, **more})
        drawn = [item["annotations"] for item in page["items"]]
        assert sum(len(one["rows"]) if one else 1 for one in drawn) <= limit
        found += [row | {"total": one["total"]} for one in drawn if one for row in one["rows"]]
        if page["next_cursor"] is None:
            return found
        more = {"cursor": page["next_cursor"]}


@pytest.mark.row("D5")
@pytest.mark.parametrize("written", [as_csv, as_lines, without_head])
async def test_every_row_is_seen_and_found_by_its_class(alice: Desk, written: Any) -> None:
    rows = table(75)
    made = await alice.filled(written(rows), **TEXTS_OF)
    path = f"/datasets/{made['id']}/samples"
    everything = [(text, label, 75) for text, label in rows]
    bad = [(text, label, 8) for text, label in rows if label == "差评"]
    for limit in (1, 7, 74, 75, 500):
        seen = await paged(alice, path, limit)
        assert [(row["text"], row["class"], row["total"]) for row in seen] == everything
        seen = await paged(alice, path, limit, **{"class": "差评"})
        assert [(row["text"], row["class"], row["total"]) for row in seen] == bad
    content = next(iter(written(rows).values())).split(b"\n")
    lines = [row["line"] for row in await paged(alice, path, 50)]
    assert all(str(number).encode() in content[line - 1] for number, line in enumerate(lines))
    assert await paged(alice, path, 9, **{"class": "无"}) == []
    name = next(iter(written(rows)))
    assert len(await paged(alice, path, 9, **{"class": "差评", "q": name.upper()})) == 8
    assert await paged(alice, path, 9, **{"class": "差评", "q": "other"}) == []
    for place in (
        "t.tsv",
        "1\0" + "t.tsv",
        "1\0x\0t.tsv",
        "1\0-1\0t.tsv",
        "x\0" + "0\0t.tsv",
        f"{'9' * 19}\0" + "0\0t.tsv",
    ):
        await alice.refused("GET", path, 400, "bad_cursor", params={"cursor": cursor_of(place)})


@pytest.mark.row("D5")
async def test_texts_with_entities_are_paged_too(alice: Desk) -> None:
    texts = [{"text": f"{n} 张三", "entities": [[0, 1, "Number"]] if n % 3 else []} for n in range(60)]
    for format, name, content in (
        ("single_text", "t.jsonl", b"\n".join(map(orjson.dumps, texts))),
        ("json", "t.json", orjson.dumps(texts)),
        ("json", "t.jsonl", b"\n".join(map(orjson.dumps, texts))),
        ("single_text", "t.bio", "".join(f"{n}\tB-Number\n李\tO\n\n" for n in range(60)).encode()),
    ):
        made = await alice.filled({name: content}, purpose="text/entity", annotation="entity", format=format)
        path = f"/datasets/{made['id']}/samples"
        seen = await paged(alice, path, 25)
        assert [int(row["text"].replace("李", "").split()[0]) for row in seen] == list(range(60))
        marked = await paged(alice, path, 7, **{"class": "Number"})
        assert [row["text"] for row in marked] == [row["text"] for row in seen if row["entities"]]
        assert all(row["entities"][0]["class"] == "Number" for row in marked)


async def forget_rows(place: Place, dataset: str, kept: Mapping[str, Any] | None = None) -> None:
    """As if it had been imported by an earlier platform, which kept the first rows of files (by path) to show them."""
    content = {entry_of(path): orjson.dumps(rows) for path, rows in (kept or {}).items()}
    shown = await manifests.store_bytes(place.context.files, content, f"old/{dataset}") if content else None
    async with place.context.store.work() as uow:
        [doc] = (await uow.connection.execute(select(versions.c.doc).where(versions.c.dataset_id == dataset))).scalars()
        doc["train"]["noted"] = False
        if shown is not None:
            doc["train"]["annotations"] = shown.model_dump(mode="json")
        await uow.connection.execute(update(versions).where(versions.c.dataset_id == dataset).values(doc=doc))


@pytest.mark.row("D5")
async def test_rows_that_an_old_import_did_not_note_are_not_searched_in_silence(place: Place, alice: Desk) -> None:
    made = await alice.filled(as_csv(table(20)), **TEXTS_OF)
    path = f"/datasets/{made['id']}/samples?version=1"
    table_of = (await alice.ok("GET", path))["items"][1]
    await forget_rows(place, made["id"], {table_of["path"]: table_of["annotations"]})
    assert len((await alice.ok("GET", path))["items"][1]["annotations"]["rows"]) == 20
    problem = await alice.refused("GET", f"{path}&class=差评", 409, "class_not_indexed")
    assert "Import its archive again" in problem["detail"]
    assert (await alice.ok("GET", f"{path}&class=无"))["items"] == []


@pytest.mark.row("D5")
async def test_what_the_document_says_of_reports_and_annotations_is_what_is_answered(alice: Desk) -> None:
    """The models only describe: what is answered is neither read by them nor changed."""
    brat_ann = {"purpose": "text/relation", "annotation": "relation", "format": "brat_ann"}
    for content, of in ((with_coco(coco()), DETECT), (brat(), brat_ann), (as_csv(table(20)), TEXTS_OF)):
        made = await alice.create(**of)
        report = (await alice.imported(made["id"], content))["report"]
        assert ReportOut.model_validate(report).model_dump(by_alias=True, exclude_unset=True) == report
        figures = (await alice.ok("GET", f"/datasets/{made['id']}"))["current_version"]["train"]["figures"]
        assert FiguresOut.model_validate(figures).model_dump(by_alias=True, exclude_unset=True) == figures
        items = (await alice.ok("GET", f"/datasets/{made['id']}/samples"))["items"]
        for drawn in [item["annotations"] for item in items if item["annotations"]]:
            read = AnnotationsOut.model_validate(drawn).model_dump(mode="json", by_alias=True, exclude_unset=True)
            assert read == drawn
    document = (await alice.client.get("http://house/openapi.json")).json()["components"]["schemas"]
    assert {"ReportOut", "FaultOut", "FiguresOut", "ObjectsOut", "SpansOut", "RowsOut"} <= document.keys()
