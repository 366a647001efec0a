"""Formatted sets: a part of a dataset version in the format that a framework reads (seed 001, row D9)."""

from dataset_svc.sets.port import CLASSES, Encoder, Record, SetFormat, Terms
from dataset_svc.sets.registry import ANNOTATED, NAMES, RAW, set_format

__all__ = ["ANNOTATED", "CLASSES", "NAMES", "RAW", "Encoder", "Record", "SetFormat", "Terms", "set_format"]
