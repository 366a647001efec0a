"""A small right dataset of every format, which the corpus then breaks."""

from __future__ import annotations

import io
import json
from typing import Any

from PIL import Image

Files = dict[str, bytes]


def png(width: int = 20, height: int = 10, shade: int = 0) -> bytes:
    target = io.BytesIO()
    Image.new("L", (width, height), shade).save(target, "PNG")
    return target.getvalue()


PNG = png()


def coco(**changed: Any) -> bytes:
    """A right COCO file of two images, with whole sections or anything else changed."""
    content = {
        "images": [
            {"id": 1, "file_name": "1.png", "width": 20, "height": 10},
            {"id": 2, "file_name": "2.png", "width": 20, "height": 10},
        ],
        "annotations": [annotation(), annotation(id=2, image_id=2, category_id=2)],
        "categories": [{"id": 1, "name": "猫"}, {"id": 2, "name": "dog"}],
    }
    return json.dumps({**content, **changed}, ensure_ascii=False).encode()


def annotation(**changed: Any) -> dict[str, Any]:
    plain = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "iscrowd": 0}
    return {**plain, "segmentation": [[1, 1, 6, 1, 6, 6]], **changed}


def with_coco(content: bytes) -> Files:
    return {"annotations/instances.json": content, "images/1.png": PNG, "images/2.png": PNG}


def boxes(*changed: Any) -> Files:
    return with_coco(coco(annotations=list(changed)))


def labelme(*shapes: Any, **changed: Any) -> bytes:
    plain = {"version": "5.4.1", "imagePath": "1.png", "imageWidth": 20, "imageHeight": 10, "imageData": None}
    return json.dumps({**plain, "shapes": list(shapes) or [shape()], **changed}, ensure_ascii=False).encode()


def shape(**changed: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "label": "猫",
        "points": [[1, 1], [6, 1], [6, 6]],
        "shape_type": "polygon",
        "group_id": None,
        "flags": {},
    }
    return {**plain, **changed}


def with_labelme(content: bytes) -> Files:
    return {"a/1.json": content, "a/1.png": PNG}


ANN = (
    b"T1\tPerson 0 2\t\xe5\xbc\xa0\xe4\xb8\x89\nT2\tPlace 5 7\t\xe5\x8c\x97\xe4\xba\xac\nR1\tLivesIn Arg1:T1 Arg2:T2\n"
)
TXT = "张三住在了北京。".encode()


def brat(annotations: bytes = ANN, text: bytes = TXT, **more: bytes) -> Files:
    return {"a.txt": text, "a.ann": annotations, **more}


ROWS = "text,label\n好吃,好评\n太慢,差评\n".encode()
