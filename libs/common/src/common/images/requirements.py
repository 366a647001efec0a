"""Which requirements an engine may have, and the digest that they make.

A requirement names a package and its versions (PEP 508), never an option, an address or a path: what is installed
comes from where the operator says, and nothing of the platform's disk can be named.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from common.kernel.errors import Fault, Invalid, Problem
from common.ports.images import EngineSpec

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_EXTRAS = rf"(?:\[\s*{_NAME}(?:\s*,\s*{_NAME})*\s*\])?"
_CLAUSE = r"(?:===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+"
_MARKER = r"(?:;[A-Za-z0-9_.'\"<>=!~() -]+)?"
_REQUIREMENT = re.compile(rf"{_NAME}{_EXTRAS}\s*(?:{_CLAUSE}(?:\s*,\s*{_CLAUSE})*)?\s*{_MARKER}\Z")
_PYTHON = re.compile(r"(===|==|~=|!=|<=|>=|<|>)?\s*(\d+(?:\.\d+){0,2})(\.\*)?\Z")
_MOST = 500


class EngineFailed(Problem):
    """An engine can't be built; `code` is `engine_failed` and `detail` holds the last lines of the installer."""

    title = "The engine can't be built"

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__("engine_failed", detail, **extra)


def check_requirements(requirements: Sequence[str]) -> None:
    """Raise Invalid (`bad_requirement`), with a fault for each, where one is no package name with versions."""
    faults = [
        Fault(
            f"requirements[{i}]", f"{text[:80]!r} is not like 'numpy>=2,<3'; options, addresses and paths are refused."
        )
        for i, text in enumerate(requirements)
        if len(text) > 300 or not _REQUIREMENT.match(text)
    ]
    if len(requirements) > _MOST:
        faults.append(Fault("requirements", f"At most {_MOST} are accepted."))
    if faults:
        raise Invalid("bad_requirement", " ".join(fault.reason for fault in faults[:3]), faults=faults)


def engine_digest(spec: EngineSpec) -> str:
    """The digest of an engine: SHA-256 over its Python and its requirements, whatever their order or spacing."""
    wanted = sorted({" ".join(text.split()) for text in spec.requirements})
    return hashlib.sha256(json.dumps([spec.python, wanted]).encode()).hexdigest()


def python_fits(version: tuple[int, ...], wanted: str) -> bool:
    """Whether a Python version satisfies clauses such as `>=3.11,<3.13` or `3.12` (PEP 440, final releases).

    Raises Invalid (`bad_requirement`) where the clauses can't be understood.
    """
    return all(_clause_fits(version, clause.strip()) for clause in wanted.split(",") if clause.strip())


def _clause_fits(version: tuple[int, ...], clause: str) -> bool:
    match = _PYTHON.match(clause)
    if not match:
        raise Invalid("bad_requirement", f"{clause!r} is no Python version; write for example '>=3.11'.")
    operator, number, star = match[1] or "==", match[2], match[3] or not match[1]
    want = tuple(map(int, number.split(".")))
    near = version[: len(want)]
    if operator in ("==", "===", "!="):
        same = near == want if star else version == want + (0,) * (3 - len(want))
        return same != (operator == "!=")
    if operator == "~=":
        return version >= want and version[: len(want) - 1] == want[:-1]
    full = want + (0,) * (3 - len(want))
    return {">=": version >= full, "<=": version <= full, ">": version > full, "<": version < full}[operator]
