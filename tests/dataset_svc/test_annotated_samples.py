"""Sample pages say what is annotated: boxes on images, entities in texts, rows of a table (row D5)."""

import io
import tarfile

import pytest

from tests.dataset_svc.archives.makers import rar, tar_gz
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
