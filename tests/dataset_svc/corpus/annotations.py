"""Broken annotation files, each with the faults that its report must have: (code, file, line)."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from tests.dataset_svc.corpus.good import (
    ANN,
    PNG,
    ROWS,
    TXT,
    Files,
    annotation,
    boxes,
    brat,
    coco,
    labelme,
    png,
    shape,
    with_coco,
    with_labelme,
)

Fault = tuple[str, str, int | None]
DETECT, SEGMENT = "image/detection", "image/segmentation"
TEXT, ENTITY, RELATION = "text/classification", "text/entity", "text/relation"
FILE = "annotations/instances.json"


class Case(NamedTuple):
    """A dataset and what its report must say. `errors` and `warnings` are all that it says."""

    name: str
    purpose: str
    files: Files
    errors: list[Fault]
    warnings: list[Fault] = []  # noqa: RUF012


def bad_box(name: str, code: str, purpose: str = DETECT, **changed: Any) -> Case:
    files = boxes(annotation(), annotation(**{"id": 2, "image_id": 2, **changed}))
    return Case(name, purpose, files, [(code, FILE, None)])


def bad_coco(name: str, *codes: str, content: bytes = b"", line: int | None = None, **changed: Any) -> Case:
    files = with_coco(content or coco(**changed))
    return Case(name, DETECT, files, [(code, FILE, line) for code in codes])


MASK = {"size": [10, 20], "counts": [5, 10, 185]}
COCO = [
    Case("coco, right", DETECT, with_coco(coco()), []),
    Case("coco, right, with masks", SEGMENT, boxes(annotation(), annotation(id=2, segmentation=MASK, iscrowd=1)), []),
    bad_box("box far outside the image", "box_outside", bbox=[15, 5, 10, 3], segmentation=[]),
    bad_box("box before the image", "box_outside", bbox=[-3, 1, 5, 5], segmentation=[]),
    bad_box("polygon outside the image", "box_outside", segmentation=[[1, 1, 6, 1, 6, 60]]),
    bad_box("box of three numbers", "bad_box", bbox=[1, 2, 3]),
    bad_box("box of words", "bad_box", bbox=["1", "2", "3", "4"]),
    bad_box("box that is not a number", "bad_box", bbox=[float("nan"), 1, 2, 3]),
    bad_box("box without end", "bad_box", bbox=[float("inf"), 1, 2, 3]),
    bad_box("box without height", "bad_box", bbox=[1, 1, 5, 0]),
    bad_box("box backwards", "bad_box", bbox=[5, 5, -2, -2]),
    bad_box("no box at all", "bad_box", bbox=None, segmentation=[]),
    bad_box("category that is not there", "unknown_category", category_id=9),
    bad_box("image that is not there", "unknown_image", image_id=9),
    bad_box("image by name", "bad_entry", image_id="1.png"),
    bad_box("id beyond 64 bits", "bad_entry", id=1 << 70),
    bad_box("id of another annotation", "duplicate_id", id=1),
    bad_box("crowd of seven", "bad_entry", iscrowd=7),
    bad_box("polygon of two points", "bad_polygon", segmentation=[[1, 1, 2, 2]]),
    bad_box("polygon with half a point", "bad_polygon", segmentation=[[1, 1, 2, 2, 3, 3, 4]]),
    bad_box("polygon that is not in a list", "bad_polygon", segmentation=[1, 1, 2, 2, 3, 3]),
    bad_box("polygon of words", "bad_polygon", segmentation="M 0 0"),
    bad_box("mask that covers too little", "bad_mask", segmentation={"size": [10, 20], "counts": [5, 10]}),
    bad_box("mask of another size", "bad_mask", segmentation={"size": [20, 10], "counts": [5, 10, 185]}),
    bad_box("mask without size", "bad_mask", segmentation={"counts": [5, 10, 185]}),
    bad_box("mask with a negative run", "bad_mask", segmentation={"size": [10, 20], "counts": [-5, 10, 195]}),
    bad_box("mask of noise", "bad_mask", segmentation={"size": [10, 20], "counts": "~~~~ÿ"}),
    bad_box("mask cut off", "bad_mask", segmentation={"size": [10, 20], "counts": "PPPPPPPPPPPPPPPPPP"}),
    bad_box("mask without a pixel", "empty_mask", segmentation={"size": [10, 20], "counts": [200]}),
    bad_box("segmentation without outline", "no_mask", SEGMENT, segmentation=[]),
    bad_coco("no json", "bad_json", content=b'{"images": [\n{"id": 1,\n}]}', line=3),
    bad_coco("json cut off", "bad_json", content=coco()[:-9], line=1),
    bad_coco("json nested a hundred thousand deep", "bad_json", content=b"[" * 100_000),
    bad_coco("a number of five thousand digits", "bad_json", content=b'{"images": ' + b"9" * 5000 + b"}"),
    bad_coco("a list instead of an object", "not_an_object", content=b"[1, 2]", line=None),
    bad_coco("binary", "binary_text", content=b"\0\1\2"),
    bad_coco("neither utf-8 nor gbk", "not_text", content=b'{"a":\n"\xff\xff"}', line=2),
    bad_coco("images that are no list", "bad_section", images={"1": 2}),
    bad_coco("categories that are no list", "bad_section", categories=7),
    bad_coco(
        "an image twice",
        "duplicate_id",
        images=[{"id": n, "file_name": f"{n}.png", "width": 20, "height": 10} for n in (1, 2, 2)],
    ),
    bad_coco(
        "the same file under two ids",
        "duplicate_image",
        images=[
            {"id": n, "file_name": name, "width": 20, "height": 10}
            for n, name in ((1, "1.png"), (2, "2.png"), (3, "1.png"))
        ],
    ),
    bad_coco(
        "an image of another size",
        "image_size",
        images=[
            {"id": 1, "file_name": "1.png", "width": 40, "height": 10},
            {"id": 2, "file_name": "2.png", "width": 20, "height": 10},
        ],
    ),
    bad_coco(
        "an image without size",
        "bad_entry",
        images=[{"id": 1, "file_name": "1.png"}, {"id": 2, "file_name": "2.png", "width": 20, "height": 10}],
    ),
    bad_coco(
        "categories without names",
        "bad_label",
        "bad_label",
        "unknown_category",
        "unknown_category",
        categories=[{"id": 1, "name": " "}, {"id": 2, "name": "\x1b[2J"}],
    ),
    bad_coco(
        "half a character as a category",
        "bad_label",
        "unknown_category",
        content=coco().replace("猫".encode(), b"\\ud800"),
    ),
    bad_coco(
        "a file that is not packed",
        "missing_file",
        images=[
            {"id": n, "file_name": name, "width": 20, "height": 10}
            for n, name in ((1, "1.png"), (2, "2.png"), (3, "3.png"))
        ],
    ),
    bad_coco(
        "a file outside",
        "missing_file",
        images=[
            {"id": n, "file_name": name, "width": 20, "height": 10}
            for n, name in ((1, "1.png"), (2, "2.png"), (3, "../../../../etc/passwd"))
        ],
    ),
    Case("images without annotations", DETECT, {"1.png": PNG}, [("no_annotations", "", None)]),
    Case("nothing drawn", DETECT, with_coco(coco(annotations=[])), [("no_objects", "", None)]),
    Case(
        "an image that nobody tells of",
        DETECT,
        {**with_coco(coco()), "images/3.png": PNG, "readme.md": b"x"},
        [],
        [("unlisted_image", "images/3.png", None), ("other_file", "readme.md", None)],
    ),
    Case(
        "a damaged image",
        DETECT,
        {**with_coco(coco()), "images/2.png": PNG[:-20]},
        [("image_damaged", "images/2.png", None)],
    ),
    Case(
        "a crowd by polygons",
        DETECT,
        boxes(annotation(), annotation(id=2, image_id=2, iscrowd=1)),
        [],
        [("crowd_polygon", FILE, None)],
    ),
    Case(
        "a pixel outside",
        DETECT,
        boxes(annotation(), annotation(id=2, image_id=2, bbox=[10, 5, 10.5, 5])),
        [],
        [("box_outside", FILE, None)],
    ),
]


def bad_shape(name: str, code: str, purpose: str = DETECT, **changed: Any) -> Case:
    return Case(name, purpose, with_labelme(labelme(shape(), shape(**changed))), [(code, "a/1.json", None)])


LABELME = [
    Case("labelme, right", SEGMENT, with_labelme(labelme()), []),
    Case(
        "labelme, made on Windows",
        DETECT,
        {"json/1.json": labelme(imagePath="..\\images\\1.png"), "images/1.png": PNG},
        [],
    ),
    Case(
        "labelme, circle and rectangle",
        DETECT,
        with_labelme(
            labelme(
                shape(shape_type="circle", points=[[5, 5], [7, 5]]),
                shape(shape_type="rectangle", points=[[6, 6], [1, 1]]),
            )
        ),
        [],
    ),
    Case(
        "labelme, a line",
        DETECT,
        with_labelme(labelme(shape(), shape(shape_type="line"))),
        [],
        [("no_area", "a/1.json", None)],
    ),
    bad_shape("label missing", "bad_label", label=None),
    bad_shape("label empty", "bad_label", label="  "),
    bad_shape("label endless", "bad_label", label="x" * 201),
    bad_shape("shape of another kind", "unknown_shape", shape_type="blob"),
    bad_shape("polygon of two points", "bad_polygon", points=[[1, 1], [2, 2]]),
    bad_shape("points that are none", "bad_polygon", points=[[1, 1], [2], [3, 3]]),
    bad_shape("rectangle without area", "bad_box", shape_type="rectangle", points=[[1, 1], [1, 5]]),
    bad_shape("circle outside", "box_outside", shape_type="circle", points=[[5, 5], [15, 5]]),
    bad_shape("rectangle as outline", "no_mask", SEGMENT, shape_type="rectangle", points=[[1, 1], [5, 5]]),
    Case(
        "labelme, image missing",
        DETECT,
        {"a/1.json": labelme(), "a/2.png": PNG},
        [("missing_file", "a/1.json", None), ("no_objects", "", None)],
        [("unlisted_image", "a/2.png", None)],
    ),
    Case(
        "labelme, shapes that are none",
        DETECT,
        with_labelme(labelme(shapes=7)),
        [("bad_entry", "a/1.json", None), ("no_objects", "", None)],
    ),
    Case(
        "labelme, one image twice",
        DETECT,
        {**with_labelme(labelme()), "b/1.json": labelme(imagePath="../a/1.png")},
        [("duplicate_image", "b/1.json", None)],
    ),
    Case(
        "labelme, image of another size",
        DETECT,
        {**with_labelme(labelme()), "a/1.png": png(30, 30)},
        [("image_size", "a/1.json", None)],
    ),
]


def bad_rows(name: str, content: bytes, *errors: tuple[str, int | None], file: str = "t.csv") -> Case:
    return Case(name, TEXT, {file: content}, [(code, file, line) for code, line in errors])


def lines(*rows: Any) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


GOOD_LINES = ({"text": "好吃", "label": "好评"}, {"text": "太慢", "label": 0})
SINGLE = [
    bad_rows("csv, right", ROWS),
    bad_rows("csv, in gbk", ROWS.decode().encode("gb18030")),
    bad_rows("csv, with a mark of byte order", b"\xef\xbb\xbf" + ROWS),
    bad_rows("csv, without a header", "好吃,好评\r\n太慢,差评\r\n".encode()),
    bad_rows("csv, text of two lines", '标签,文本\n好评,"一\n二"\n差评,"说""不"""\n'.encode()),
    bad_rows("tsv, right", ROWS.replace(b",", b"\t"), file="t.tsv"),
    bad_rows("json lines, right", lines(*GOOD_LINES), file="t.jsonl"),
    bad_rows("csv, row too long", ROWS + b"a,b,c\n", ("wrong_columns", 4)),
    bad_rows("csv, row too short", ROWS + b"a\n", ("wrong_columns", 4)),
    bad_rows("csv, fault behind a text of two lines", b'text,label\n"a\nb",x\n,y\n', ("empty_text", 4)),
    bad_rows("csv, empty text", ROWS + b" ,x\n", ("empty_text", 4)),
    bad_rows("csv, empty class", ROWS + b"x, \n", ("bad_label", 4)),
    bad_rows("csv, control character as a class", ROWS + b"x,\x1b[2J\n", ("bad_label", 4)),
    bad_rows("csv, quote that is not closed", ROWS + b'"x,y\n', ("bad_row", 4)),
    bad_rows("csv, text behind a quote", ROWS + b'"x"y,z\n', ("bad_row", 4)),
    bad_rows("csv, three columns and no names", b"1,a,b\n2,c,d\n", ("no_header", 1), ("too_few_classes", None)),
    bad_rows("csv, one class", b"text,label\na,x\nb,x\n", ("too_few_classes", None)),
    bad_rows("csv, empty", b"", ("too_few_classes", None)),
    bad_rows("csv, binary", ROWS + b"\0\0\n", ("binary_text", 4)),
    bad_rows("csv, utf-16", ROWS.decode().encode("utf-16"), ("binary_text", 1), ("too_few_classes", None)),
    bad_rows("csv, two encodings", ROWS + "文,好评\n".encode("gb18030"), ("not_text", 4)),
    bad_rows(
        "csv, every text a class",
        b"text,label\n" + b"".join(b"a,%d\n" % n for n in range(10_002)),
        ("too_many_classes", 10_002),
    ),
    bad_rows("json lines, not json", lines(*GOOD_LINES) + b"{\n", ("bad_json", 3), file="t.jsonl"),
    bad_rows("json lines, a list", lines(*GOOD_LINES, [1]), ("bad_row", 3), file="t.jsonl"),
    bad_rows("json lines, no label", lines(*GOOD_LINES, {"text": "x"}), ("bad_row", 3), file="t.jsonl"),
    bad_rows(
        "json lines, label that is a list",
        lines(*GOOD_LINES, {"text": "x", "label": []}),
        ("bad_row", 3),
        file="t.jsonl",
    ),
    bad_rows(
        "json lines, half a character",
        lines(*GOOD_LINES) + b'{"text": "\\ud800", "label": "x"}\n',
        ("bad_row", 3),
        file="t.jsonl",
    ),
    bad_rows("json lines, nested deep", lines(*GOOD_LINES) + b"[" * 100_000 + b"\n", ("bad_json", 3), file="t.jsonl"),
    Case("two files of samples", TEXT, {"a.csv": ROWS, "b.csv": ROWS}, [("several_files", "b.csv", None)]),
    Case("no file of samples", TEXT, {"a.doc": b"x"}, [("no_samples_file", "", None)], [("other_file", "a.doc", None)]),
]


def bad_ann(name: str, more: str, *codes: str, text: bytes = TXT) -> Case:
    """The right annotations and one more line, the fourth."""
    return Case(name, RELATION, brat(ANN + more.encode(), text), [(code, "a.ann", 4) for code in codes])


BRAT = [
    Case("brat, right", RELATION, brat(), []),
    Case("brat, in gbk", RELATION, brat(ANN.decode().encode("gb18030"), TXT.decode().encode("gb18030")), []),
    Case(
        "brat, everything there is",
        RELATION,
        brat(
            ANN
            + "T3\tWord 0 1;3 5\t张 在了\nE1\tMove:T1 To:T2\nA1\tNegation E1\nM1\tConfidence E1 High\n"
            "N1\tReference T1 Wikipedia:1\t张三\n#1\tAnnotatorNotes T1\t注\n*\tEquiv T1 T2\n\n".encode(),
            **{"annotation.conf": b"[entities]"},
        ),
        [],
    ),
    bad_ann("offsets outside", "T9\tPerson 5 90\tx", "offsets_outside"),
    bad_ann("offsets backwards", "T9\tPerson 5 3\tx", "bad_offsets"),
    bad_ann("offsets of bytes", "T9\tPerson 3 6\t三", "text_mismatch"),
    bad_ann("offsets that are no numbers", "T9\tPerson a b\tx", "bad_entity"),
    bad_ann("offsets of a hundred digits", f"T9\tPerson 0 {'9' * 100}\tx", "bad_entity"),
    bad_ann("spans out of order", "T9\tPerson 5 7;0 2\t北京 张三", "bad_offsets"),
    bad_ann("another text", "T9\tPerson 0 2\t李四", "text_mismatch"),
    bad_ann("an id twice", "T1\tPerson 0 2\t张三", "duplicate_id"),
    bad_ann("relation to nothing", "R9\tLivesIn Arg1:T1 Arg2:T77", "missing_reference"),
    bad_ann("relation of one", "R9\tLivesIn Arg1:T1", "bad_relation"),
    bad_ann("event without trigger", "E9\tMove To:T2 x", "bad_event"),
    bad_ann("event with a trigger that is not there", "E9\tMove:T77", "missing_reference"),
    bad_ann("attribute of nothing", "A9\tNegation E77", "missing_reference"),
    bad_ann("attribute without target", "A9\tNegation", "bad_attribute"),
    bad_ann("normalisation without entry", "N9\tReference T1\tx", "bad_normalisation"),
    bad_ann("note of nothing", "#9\tAnnotatorNotes T77\tx", "missing_reference"),
    bad_ann("equivalence of one", "*\tEquiv T1", "bad_equivalence"),
    bad_ann("no annotation at all", "hello", "bad_line"),
    bad_ann("spaces instead of tabs", "T9 Person 0 2 张三", "bad_line"),
    Case("text without annotations", ENTITY, {**brat(), "b.txt": b"x"}, [("missing_annotation", "b.txt", None)]),
    Case("annotations without text", ENTITY, {**brat(), "b.ann": b""}, [("missing_text", "b.ann", None)]),
    Case("no relations", RELATION, brat(b""), [("no_relations", "", None)]),
    Case("no entities", ENTITY, brat(b""), [("no_entities", "", None)]),
    Case("binary text", ENTITY, {**brat(), "b.txt": b"\0", "b.ann": b""}, [("binary_text", "b.txt", None)]),
    Case("another file", ENTITY, {**brat(), "b.doc": b""}, [], [("other_file", "b.doc", None)]),
]
