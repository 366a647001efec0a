"""Formats: what the files of a dataset must look like. One module a format, found by name; each checks every file as
it streams by and sums up what it saw, so that a wrong dataset is refused with all its faults named at once."""

from dataset_svc.formats.port import Checker, ContentLimits, Format, Recorded, Row, Sink
from dataset_svc.formats.registry import format_names, formats_for, get_format, purposes

__all__ = [
    "Checker",
    "ContentLimits",
    "Format",
    "Recorded",
    "Row",
    "Sink",
    "format_names",
    "formats_for",
    "get_format",
    "purposes",
]
