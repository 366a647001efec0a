"""The format `brat_ann`: texts (`.txt`), each with its annotations beside it (`.ann`), as brat keeps them
(seed 002 §2.1.1; brat standoff format, brat.nlplab.org/standoff.html)."""

from __future__ import annotations

from dataset_svc.formats.port import FILES, Checker, ContentLimits, Recorded, Sink
from dataset_svc.formats.registry import check_purpose


class BratFormat:
    """See Format."""

    name = "brat_ann"
    purposes = ("text/entity", "text/relation")

    def describing(self, purpose: str) -> tuple[str, ...]:
        """See Format: annotations, and brat's own settings."""
        return (".ann", ".conf")

    def recorded(self, purpose: str) -> Recorded:
        """See Format."""
        return FILES

    def checker(self, purpose: str, sink: Sink, limits: ContentLimits) -> Checker:
        """See Format."""
        from dataset_svc.formats.known.brat_ann.checker import BratChecker

        check_purpose(self.name, self.purposes, purpose)
        return BratChecker(purpose, sink, limits)


FORMAT = BratFormat()
