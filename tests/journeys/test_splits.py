"""What a job finds in train/ and test/ where the folder of a file doesn't tell its class (row D8): pictures by what is
annotated in them, a table row by row, and the same of a part of it that is split again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.steps import DOCKER, EMBEDDED, PATIENCE, PROCESSES, succeeded
from tests.support.data import packed, picture
from tests.support.process import ENGINE
from yard import Client

ON = (EMBEDDED, PROCESSES, DOCKER)

TELLS = """
import json, os
from pathlib import Path

data = Path(os.environ["DATA_DIR"])
told = {}
for side in ("train", "test"):
    rows = [line for path in (data / side).rglob("*.csv") for line in path.read_text().splitlines()]
    pictures = [path.name for path in (data / side).rglob("*.png")]
    notes = len(list((data / side).rglob("*.json")))
    told[side] = {"rows": rows, "pictures": sorted(pictures), "notes": notes}
(Path(os.environ["RESULT_DIR"]) / "evaluation.json").write_text(json.dumps(told))
"""


def teller(alice: Client, folder: Path, purpose: str, formats: list[str]) -> str:
    """An algorithm that tells what it finds."""
    made = alice.algorithms.create(
        {
            "name": f"tells of {purpose}",
            "purpose": purpose,
            "formats": formats,
            "training": {"engine": ENGINE, "command": ["python", "train.py"]},
        }
    )
    code = packed(folder / "tells.zip", {"train.py": TELLS.encode()})
    alice.algorithms.put_code(made["id"], "training", code)
    return alice.algorithms.online(made["id"])["id"]


def online(alice: Client, archive: Path, **what: Any) -> str:
    made = alice.datasets.create(**what)
    alice.datasets.import_(made["id"], archive, timeout=PATIENCE)
    return alice.datasets.online(made["id"])["id"]


ROWS = [f"文本 {n},{'甲' if n % 5 else '乙'}" for n in range(50)]


@pytest.mark.row("D8", "D9")
def test_row_d8_a_table_is_split_row_by_row_and_a_part_of_it_again(alice: Client, folder: Path) -> None:
    archive = packed(folder / "table.zip", {"all.csv": "\n".join(["text,label", *ROWS]).encode()})
    purpose = "text/classification"
    dataset = online(alice, archive, name="表", purpose=purpose, format="single_text")
    algorithm = teller(alice, folder, purpose, ["single_text"])
    told: Any = succeeded(alice, alice.jobs.create("rows", algorithm_id=algorithm, dataset_id=dataset))["evaluation"]
    sides = [told[side]["rows"] for side in ("train", "test")]
    assert [side[0] for side in sides] == ["text,label"] * 2
    assert sorted(sides[0][1:] + sides[1][1:]) == sorted(ROWS)
    assert [sum(row.endswith("乙") for row in side) for side in sides] == [8, 2]
    half = alice.sets.wait(alice.sets.create(dataset, "raw", ratio=0.5)["id"], timeout=PATIENCE)
    again: Any = alice.jobs.create("half", algorithm_id=algorithm, formatted_set_id=half["id"], ratio=0.8)
    told = succeeded(alice, again)["evaluation"]
    assert [len(told[side]["rows"]) for side in ("train", "test")] == [21, 6]


@pytest.mark.row("D8")
def test_row_d8_pictures_are_split_by_what_is_annotated_in_them(alice: Client, folder: Path) -> None:
    names = [f"{n:02d}.png" for n in range(25)]
    content = {
        "images": [{"id": n, "file_name": name, "width": 8, "height": 8} for n, name in enumerate(names)],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1 if n % 5 else 2, "bbox": [1, 1, 5, 5]} for n in range(25)
        ],
        "categories": [{"id": 1, "name": "often"}, {"id": 2, "name": "seldom"}],
    }
    files = {f"images/{name}": picture("circles", number) for number, name in enumerate(names)}
    files |= {"annotations.json": json.dumps(content).encode()}
    purpose = "image/detection"
    archive = packed(folder / "coco.zip", files)
    dataset = online(alice, archive, name="coco", purpose=purpose, annotation="box", format="json")
    algorithm = teller(alice, folder, purpose, ["json"])
    told: Any = succeeded(alice, alice.jobs.create("boxes", algorithm_id=algorithm, dataset_id=dataset))["evaluation"]
    assert sorted(told["train"]["pictures"] + told["test"]["pictures"]) == names
    assert sum(int(name[:2]) % 5 == 0 for name in told["test"]["pictures"]) == 1
    assert len(told["test"]["pictures"]) == 5
    assert (told["train"]["notes"], told["test"]["notes"]) == (1, 1)
