"""Right JSON beside images as other programs write it: with a mark of byte order, or in GB18030."""

from __future__ import annotations

from tests.dataset_svc.corpus.annotations import DETECT, Case
from tests.dataset_svc.corpus.good import coco, labelme, shape, with_coco, with_labelme

NAME = "训练"
"""A class whose bytes in GB18030 are not UTF-8."""
CATEGORIES = [{"id": 1, "name": NAME}, {"id": 2, "name": "dog"}]


def encoded(encoding: str, how: str) -> list[Case]:
    """A file of each kind in that encoding."""
    both = coco(categories=CATEGORIES), labelme(shape(label=NAME))
    of_coco, of_labelme = (content.decode().encode(encoding) for content in both)
    return [
        Case(f"coco, {how}", DETECT, with_coco(of_coco), []),
        Case(f"labelme, {how}", DETECT, with_labelme(of_labelme), []),
    ]


MARKED = encoded("utf-8-sig", "with a mark of byte order")
CHINESE = encoded("gb18030", "in gb18030")
