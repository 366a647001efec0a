"""A version in figures: counted while it was imported, told at once, and told of old versions as far as known."""

import pytest

from dataset_svc.domain.taxonomy import Part
from dataset_svc.schemas.details import DetailsOut
from tests.dataset_svc.conftest import TEXTS, png
from tests.dataset_svc.corpus.good import annotation, boxes, brat
from tests.dataset_svc.test_annotated_samples import DETECT


@pytest.mark.row("D5")
async def test_images_of_a_version_in_figures(alice):
    sizes = [(8, 8), (8, 8), (40, 20)]
    content = {f"cat/{n}.png": png(n, size) for n, size in enumerate(sizes)} | {"dog/1.png": png(9, (100, 50))}
    made = await alice.filled(content)
    path = f"/datasets/{made['id']}/versions/1/details"
    told = await alice.ok("GET", path)
    assert (told["version"], told["part"], told["files"]) == (1, "train", 4)
    assert told["bytes"] == sum(map(len, content.values()))
    assert told["classes"] == [
        {"name": "cat", "files": 3, "objects": None},
        {"name": "dog", "files": 1, "objects": None},
    ]
    width = told["images"]["width"]
    assert [width[name] for name in ("min", "median", "max", "mean")] == [8, 8, 100, 39.0]
    assert sum(bucket["count"] for bucket in width["histogram"]) == 4
    assert told["images"]["common"][0] == {"width": 8, "height": 8, "files": 2}
    assert (told["texts"], told["together"], told["unannotated"]) == (None, None, None)
    await alice.refused("GET", f"{path}?part=test", 404, "part_not_found")
    await alice.refused("GET", f"/datasets/{made['id']}/versions/2/details", 404, "version_not_found")


@pytest.mark.row("D5")
async def test_boxes_and_entities_in_figures(alice):
    drawn = [annotation(), annotation(id=2), annotation(id=3, category_id=2)]
    made = await alice.filled(boxes(*drawn), **DETECT)
    told = await alice.ok("GET", f"/datasets/{made['id']}/versions/1/details")
    assert {"name": "猫", "files": 1, "objects": 2} in told["classes"]
    assert told["together"] == [{"classes": ["dog", "猫"], "files": 1}]
    assert told["unannotated"] == 1
    made = await alice.filled(brat(), purpose="text/relation", annotation="relation", format="brat_ann")
    told = await alice.ok("GET", f"/datasets/{made['id']}/versions/1/details")
    assert {"name": "Person", "files": 1, "objects": 1} in told["classes"]
    assert told["relations"] == {"LivesIn": 1}
    assert told["related"] == [{"from": "Person", "class": "LivesIn", "to": "Place", "count": 1}]
    assert told["texts"]["length"]["median"] == 8


@pytest.mark.row("D5")
async def test_a_version_that_an_older_platform_imported(place, alice):
    """It has no medians, histograms and pairs; what it has is told."""
    made = await alice.filled({"a/1.txt": b"x", "b/1.txt": b"yy"}, purpose=TEXTS)
    from dataset_svc import storage

    async with place.context.store.reading() as connection:
        version = await storage.version_numbered(connection, made["id"], 1)
    length = version.train.figures["texts"]["length"]
    del length["median"], length["histogram"]
    told = DetailsOut.of(version, Part.TRAIN, version.train)
    assert told.texts is not None
    assert told.texts.length is not None
    assert (told.texts.length.max, told.texts.length.median, told.texts.length.histogram) == (2, None, [])
    version.train.figures.clear()
    assert DetailsOut.of(version, Part.TRAIN, version.train).texts is None
