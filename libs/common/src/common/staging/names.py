"""What staged folders are called: by their content and layout, so that equal requests meet. Pure."""

from __future__ import annotations

import hashlib
import re

import orjson

from common.contracts.shared import ManifestRef
from common.kernel.errors import Invalid
from common.ports.staging import Listing, StageRequest

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})").fullmatch


def folder_name(request: StageRequest) -> str:
    """What the folder of a request is called: its content, and how it is laid out. Raises Invalid (`bad_digest`)."""
    name = _hex(request.manifest)
    layout: dict[str, object] = {}
    if request.split is not None:
        rule = request.split
        layout = {"ratio": repr(float(rule.ratio)), "seed": rule.seed, "stratify": rule.stratify}
        layout |= {"describing": sorted(rule.describing)} if rule.describing else {}
        layout |= {"annotations": _hex(rule.annotations)} if rule.annotations else {}
    if request.test is not None:
        layout = {"test": _hex(request.test)}
    if request.validation is not None:
        layout |= {"validation": _hex(request.validation)}
    if request.stream:
        layout |= {"stream": True}
    if layout:
        name += f"-{hashlib.sha256(orjson.dumps(layout, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]}"
    return name


def copy_name(listing: Listing) -> str:
    """What the folder of a copy is called: where it is from, and what was listed there."""
    digest = hashlib.sha256(f"{listing.place}\n".encode())
    for path, size, tag in sorted(listing.files):
        digest.update(f"{path}\0{size}\0{tag}\n".encode())
    return digest.hexdigest()


def _hex(ref: ManifestRef) -> str:
    if (match := _DIGEST(ref.digest)) is None:
        raise Invalid("bad_digest", f"{ref.digest!r} is no content digest; it begins with sha256: and 64 hex digits.")
    return match[1]


def plain_name(name: str) -> str:
    """The name of the folder without a layout, from which the one of that name is made."""
    return name.partition("-")[0]
