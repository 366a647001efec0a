"""The format `json`: images with boxes or outlines in JSON (seed 002 §2.1.1), either COCO's (a file for many images;
cocodataset.org/#format-data) or LabelMe's (a file beside each image)."""

from __future__ import annotations

from dataset_svc.formats.port import Checker, ContentLimits, Sink
from dataset_svc.formats.registry import check_purpose


class JsonFormat:
    """See Format."""

    name = "json"
    purposes = ("image/detection", "image/segmentation")

    def checker(self, purpose: str, sink: Sink, limits: ContentLimits) -> Checker:
        """See Format."""
        from dataset_svc.formats.known.json.checker import JsonChecker

        check_purpose(self.name, self.purposes, purpose)
        return JsonChecker(purpose, sink, limits)


FORMAT = JsonFormat()
