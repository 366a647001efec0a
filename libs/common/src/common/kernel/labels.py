"""Labels of nodes, and what one may select nodes by."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from common.kernel.errors import Fault

_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,251}[A-Za-z0-9])?\Z")
_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?\Z")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z")

MOST = 64
"""Labels that a node, or a request, may name."""


def node_name_fault(name: str) -> str | None:
    """What is wrong with the name of a node or a cluster: lower-case letters, digits, `-` and `.`, at most 253."""
    if _NAME.match(name):
        return None
    return f"{name[:60]!r} is no name: lower-case letters, digits, '-' and '.', a letter or digit at both ends."


def label_faults(labels: Mapping[str, str], where: str) -> Iterator[Fault]:
    """What is wrong with labels: keys such as `disk` or `site/room`, values of at most 63 characters, as Kubernetes has
    them."""
    if len(labels) > MOST:
        yield Fault(where, f"At most {MOST} labels; these are {len(labels)}.")
    for key, value in list(labels.items())[:MOST]:
        if not _KEY.match(key):
            yield Fault(
                f"{where}.{key[:60]}", "A label is called by letters, digits, '-', '_', '.' and '/', at most 253."
            )
        if not _VALUE.match(value):
            yield Fault(f"{where}.{key[:60]}", "A label's value has letters, digits, '-', '_' and '.', at most 63.")
