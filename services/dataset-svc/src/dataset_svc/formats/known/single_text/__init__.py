"""The format `single_text`: one file whose rows are samples (seed 002 §2.1.1): a text and its class, or a text and the
entities in it."""

from __future__ import annotations

from dataset_svc.formats.port import Checker, ContentLimits, Recorded, Sink
from dataset_svc.formats.registry import check_purpose


class SingleTextFormat:
    """See Format."""

    name = "single_text"
    purposes = ("text/classification", "text/entity")

    def describing(self, purpose: str) -> tuple[str, ...]:
        """See Format: the one file holds the samples themselves."""
        return ()

    def recorded(self, purpose: str) -> Recorded:
        """See Format: the rows."""
        from dataset_svc.formats.known.single_text.rows import classified, marked

        return Recorded(rows=marked if purpose == "text/entity" else classified)

    def checker(self, purpose: str, sink: Sink, limits: ContentLimits) -> Checker:
        """See Format."""
        from dataset_svc.formats.known.single_text.classified import ClassifiedChecker
        from dataset_svc.formats.known.single_text.entities import EntitiesChecker

        check_purpose(self.name, self.purposes, purpose)
        kind = EntitiesChecker if purpose == "text/entity" else ClassifiedChecker
        return kind(sink, limits)


FORMAT = SingleTextFormat()
