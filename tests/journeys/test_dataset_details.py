"""Row D5: a dataset in figures, its samples as pictures, and a file among many found by class and by name."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.dataset_svc.corpus.good import annotation, brat, coco, png
from tests.dataset_svc.corpus.marked import BIO
from tests.journeys.steps import EMBEDDED, PATIENCE, PROCESSES, refused
from tests.support.data import packed
from yard import Client
from yard.shapes import Sample

ON = (EMBEDDED, PROCESSES)
SIZE = (240, 120)
NAMES = {1: "街景_001.png", 2: "街景_002.PNG", 3: "night.png"}


@pytest.fixture(scope="module")
def streets(alice: Client, folder: Path) -> Any:
    """Three images; on two of them something is drawn."""
    width, height = SIZE
    listed = [{"id": n, "file_name": name, "width": width, "height": height} for n, name in NAMES.items()]
    drawn = [
        annotation(id=1, bbox=[30, 15, 120, 60], segmentation=[]),
        annotation(id=2, category_id=2, bbox=[150, 20, 60, 60], segmentation=[]),
        annotation(id=3, image_id=2, bbox=[0, 0, 240, 120], segmentation=[]),
    ]
    files = {"annotations.json": coco(images=listed, annotations=drawn)}
    files |= {f"images/{name}": png(width, height, 40 * n) for n, name in NAMES.items()}
    made = alice.datasets.create("街景", purpose="image/detection", annotation="box", format="json")
    alice.datasets.import_(made["id"], packed(folder / "streets.zip", files), timeout=PATIENCE)
    return made["id"]


def marked(sample: Sample) -> dict[str, Any]:
    """What is annotated in a sample."""
    found = sample["annotations"]
    assert found is not None
    return found


@pytest.mark.row("D5")
def test_d5_a_version_is_told_in_figures(alice: Client, streets: str) -> None:
    told = alice.datasets.details(streets)
    assert (told["version"], told["part"], told["files"]) == (1, "train", 4)
    assert told["classes"] == [{"name": "dog", "files": 1, "objects": 1}, {"name": "猫", "files": 2, "objects": 2}]
    width = told["images"]["width"]
    assert [width[name] for name in ("min", "median", "max")] == [240] * 3
    assert told["images"]["common"] == [{"width": 240, "height": 120, "files": 3}]
    assert told["together"] == [{"classes": ["dog", "猫"], "files": 1}]
    assert told["unannotated"] == 1


@pytest.mark.row("D5")
def test_d5_samples_have_thumbnails_with_what_is_drawn(alice: Client, bob: Client, streets: str) -> None:
    [first, *_] = alice.datasets.samples(streets, q="街景_001")
    assert first["thumbnail"] is not None
    assert marked(first)["objects"][0]["box"] == [30, 15, 120, 60]
    plain = Image.open(io.BytesIO(alice.datasets.thumbnail(streets, first["path"])))
    drawn = Image.open(io.BytesIO(alice.datasets.thumbnail(streets, first["path"], draw=True)))
    assert (plain.format, plain.size, drawn.size) == ("PNG", (128, 64), (128, 64))
    edge = (30 * 128 // 240, 20)
    assert plain.getpixel(edge) != drawn.getpixel(edge)
    assert Image.open(io.BytesIO(alice.datasets.thumbnail(streets, first["path"], size=32))).size == (32, 16)
    refused(lambda: alice.datasets.thumbnail(streets, "annotations.json"), 404, "no_thumbnail")
    refused(lambda: bob.datasets.thumbnail(streets, first["path"]), 404, "dataset_not_found")


@pytest.mark.row("D5")
def test_d5_files_are_found_by_class_and_by_name(alice: Client, streets: str) -> None:
    def paths(**wanted: Any) -> list[str]:
        return [sample["path"].removeprefix("images/") for sample in alice.datasets.samples(streets, **wanted)]

    assert paths(q="街景") == [NAMES[1], NAMES[2]]
    assert paths(q=".Png", limit=2) == ["night.png", NAMES[1]]
    assert paths(class_="猫") == [NAMES[1], NAMES[2]]
    assert paths(class_="猫", q="002") == [NAMES[2]]
    assert paths(class_="dog", q="night") == []


@pytest.mark.row("D5")
def test_d5_texts_show_their_entities_and_lengths(alice: Client, folder: Path) -> None:
    made = alice.datasets.create("人物", purpose="text/relation", annotation="relation", format="brat_ann")
    alice.datasets.import_(made["id"], packed(folder / "people.zip", brat()), timeout=PATIENCE)
    told = alice.datasets.details(made["id"])
    assert told["texts"]["length"]["median"] == 8
    assert told["related"] == [{"from": "Person", "class": "LivesIn", "to": "Place", "count": 1}]
    [person] = alice.datasets.samples(made["id"], class_="Person")
    spans = {entity["class"]: entity["spans"] for entity in marked(person)["entities"]}
    assert spans == {"Person": [[0, 2]], "Place": [[5, 7]]}

    made = alice.datasets.create("标注", purpose="text/entity", annotation="entity", format="single_text")
    alice.datasets.import_(made["id"], packed(folder / "tokens.zip", {"a.bio": BIO.encode()}), timeout=PATIENCE)
    [one] = alice.datasets.samples(made["id"], q="BIO")
    assert [row["text"] for row in marked(one)["rows"]] == ["张三住在北京", "John Smith sleeps"]
    assert {"name": "Person", "files": 2, "objects": 2} in alice.datasets.details(made["id"])["classes"]
