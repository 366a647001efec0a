"""Right annotation documents of which values were exchanged for others: of another type, gone, twice, or odd."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from tests.dataset_svc.corpus.good import ANN, PNG, TXT, Files, coco, labelme, shape, with_coco
from tests.dataset_svc.corpus.marked import PLAIN, text

DEEP = json.loads("[" * 80 + "]" * 80)
ODD = [
    *(None, True, False, 0, -1, 7, 1.5, 1e308, 10**30, -(10**30), 10**4000, float("nan"), float("inf")),
    *("", " ", "1", "\0", "\ud800", "\x1b[2J", "..", "../../x", "/", "张" * 300, "9" * 5000, "null"),
    *([], {}, [[]], [None], [1, "a", {}], {"": "a"}, {"id": 1}, {"text": []}, [[0, 1]], DEEP, {"a": DEEP}),
]
WORDS = [
    "",
    "\0",
    "\x1b",
    "\ud800",
    "-1",
    "0",
    "9" * 40,
    "T1",
    "T1 T1",
    "Arg1:T1",
    ":",
    ";",
    "0 1;",
    "张" * 300,
    "\r",
    '"',
]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a document, with each key or index there."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


@st.composite
def exchanged(draw: st.DrawFn, document: Any) -> Any:
    """The document with one to three values exchanged, deleted or doubled."""
    changed = deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(changed))
        if not places:
            return changed
        holder, key = draw(st.sampled_from(places))
        kind = draw(st.integers(0, 5))
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, list):
            holder.insert(key, deepcopy(holder[key]))
        elif kind == 2 and isinstance(holder, dict):
            holder[draw(st.sampled_from(["", "\ud800", "shapes", "images", "text", "label", "id"]))] = holder.pop(key)
        else:
            holder[key] = deepcopy(draw(st.sampled_from(ODD)))
    return changed


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def _twice(value: Any) -> bytes:
    """Every name of the object is there twice."""
    inside = _dumped(value)[1:-1]
    return b"{" + inside + b"," + inside + b"}" if isinstance(value, dict) and inside else _dumped(value)


def document(name: str, value: Any, beside: Files) -> st.SearchStrategy[Files]:
    """One JSON document beside images."""
    written: list[Callable[[Any], bytes]] = [_dumped, _dumped, _twice]
    return st.builds(
        lambda changed, write: {name: write(changed), **beside}, exchanged(value), st.sampled_from(written)
    )


def json_lines(name: str, rows: list[Any], beside: Files) -> st.SearchStrategy[Files]:
    """A document a line."""
    return exchanged(rows).map(lambda changed: {name: b"\n".join(map(_dumped, changed)), **beside})


@st.composite
def table(draw: st.DrawFn, rows: list[list[str]]) -> Files:
    """A CSV file."""
    changed = [[str(cell) for cell in row] for row in draw(exchanged(rows)) if isinstance(row, list)]
    out = io.StringIO()
    csv.writer(out).writerows(changed)
    return {"t.csv": out.getvalue().encode("utf-8", "surrogatepass")}


@st.composite
def words(draw: st.DrawFn, content: str) -> bytes:
    """A text of lines and words of which some were exchanged, deleted or doubled."""
    rows = [line.split("\t") for line in content.splitlines()]
    for _ in range(draw(st.integers(1, 4))):
        row = rows[draw(st.integers(0, len(rows) - 1))]
        at = draw(st.integers(0, len(row) - 1))
        parts = row[at].split(" ")
        parts[draw(st.integers(0, len(parts) - 1))] = draw(st.sampled_from(WORDS))
        row[at] = " ".join(parts)
    rows = draw(st.permutations(rows))
    return "\n".join("\t".join(row) for row in rows).encode("utf-8", "surrogatepass")


_BESIDE = {name: content for name, content in with_coco(b"").items() if name.endswith(".png")}
_TWO = {"a/1.png": PNG, "a/2.png": PNG}
_SHAPES = [shape(), shape(shape_type="circle", points=[[5, 5], [7, 5]])]
_MASK = {"size": [10, 20], "counts": [5, 10, 185]}
_COCO = json.loads(coco())
_COCO["annotations"][0] |= {"segmentation": _MASK, "iscrowd": 1}
_ROWS = [["text", "label"], ["好吃", "好评"], ["太慢", "差评"]]
_EVENTS = ANN.decode() + "E1\tMove:T1 To:T2\nA1\tNegation E1\nN1\tReference T1 W:1\tx\n#1\tNote T1\tx\n*\tEquiv T1 T2\n"
_BIO = "张\tB-Person\n三\tI-Person\n\nJohn\tS-Person\nsleeps\tO\n"

MUTANTS: dict[str, tuple[str, str, st.SearchStrategy[Files]]] = {
    "coco": ("json", "image/segmentation", document("annotations/instances.json", _COCO, _BESIDE)),
    "labelme": ("json", "image/detection", document("a/1.json", json.loads(labelme(*_SHAPES)), _TWO)),
    "labels": ("json", "image/classification", document("a/1.json", {"label": "a", "flags": {"x": True}}, _TWO)),
    "listed labels": (
        "json",
        "image/classification",
        document("l.json", [{"image": "a/1.png", "label": "a"}, {"image": "a/2.png", "labels": ["b", "c"]}], _TWO),
    ),
    "labels of coco": (
        "json",
        "image/classification",
        document("annotations/c.json", json.loads(coco(annotations=PLAIN)), _BESIDE),
    ),
    "texts": ("json", "text/relation", document("t.json", [text(), text()], {})),
    "text lines": ("json", "text/relation", json_lines("t.jsonl", [text(), text()], {})),
    "entity lines": ("single_text", "text/entity", json_lines("t.jsonl", [text(), text()], {})),
    "rows": (
        "single_text",
        "text/classification",
        json_lines("t.jsonl", [{"text": "好", "label": "a"}, {"text": "坏", "label": 0}], {}),
    ),
    "table": ("single_text", "text/classification", table(_ROWS)),
    "tokens": ("single_text", "text/entity", words(_BIO).map(lambda content: {"t.bio": content})),
    "brat": ("brat_ann", "text/relation", words(_EVENTS).map(lambda content: {"a.txt": TXT, "a.ann": content})),
}
"""Format, purpose and files."""
