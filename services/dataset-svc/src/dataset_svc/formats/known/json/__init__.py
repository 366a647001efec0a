"""The format `json` (seed 002 §2.1.1): images with classes, boxes or outlines, as COCO (a file for many images;
cocodataset.org/#format-data) or LabelMe (a file beside each image) say them; texts with entities and relations."""

from __future__ import annotations

from dataset_svc.formats.port import FILES, Checker, ContentLimits, Recorded, Sink
from dataset_svc.formats.registry import check_purpose

OTHER = frozenset({"", ".txt", ".md", ".xml", ".yaml", ".yml", ".csv", ".names", ".html", ".pdf"})
"""What the names of files end with that may lie beside images and are not read."""


class JsonFormat:
    """See Format."""

    name = "json"
    purposes = ("image/classification", "image/detection", "image/segmentation", "text/entity", "text/relation")

    def describing(self, purpose: str) -> tuple[str, ...]:
        """See Format: beside images it describes them, as all does that is no image; texts are in it."""
        return () if purpose.startswith("text/") else (".json", ".jsonl", *sorted(OTHER))

    def recorded(self, purpose: str) -> Recorded:
        """See Format: images, or the texts in JSON."""
        if not purpose.startswith("text/"):
            return FILES
        from dataset_svc.formats.known.json.rows import read

        return Recorded(rows=read)

    def checker(self, purpose: str, sink: Sink, limits: ContentLimits) -> Checker:
        """See Format."""
        from dataset_svc.formats.known.json.drawn import DrawnChecker
        from dataset_svc.formats.known.json.labelled import LabelsChecker
        from dataset_svc.formats.known.json.texts import JsonTextChecker

        check_purpose(self.name, self.purposes, purpose)
        if purpose == "image/classification":
            return LabelsChecker(sink, limits)
        if purpose.startswith("text/"):
            return JsonTextChecker(purpose, sink, limits)
        return DrawnChecker(sink, limits, masks=purpose == "image/segmentation")


FORMAT = JsonFormat()
