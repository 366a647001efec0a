"""Images hold what services need and nothing else: the runtime's lock agrees with the whole one, and is enough."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.support.process import REPOSITORY

Pins = dict[str, set[tuple[str, frozenset[str]]]]

PIN = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==(\S+)[^\\\n]*((?: \\\n +--hash=\S+)+)", re.MULTILINE)
NOT_IN_IMAGES = {"presets"}
"""Rooms that are used elsewhere: by workloads, in engines of their own."""


def pins(name: str) -> Pins:
    """Versions (one for each kind of machine, where they differ) and hashes by package."""
    found: Pins = {}
    for one in PIN.finditer((REPOSITORY / name).read_text()):
        found.setdefault(normal(one[1]), set()).add((one[2], frozenset(re.findall(r"--hash=(\S+)", one[3]))))
    assert found
    return found


def normal(name: str) -> str:
    """As PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_both_locks_name_the_same_versions() -> None:
    whole, runtime = pins("requirements.lock"), pins("requirements-runtime.lock")
    assert {name: one for name, one in whole.items() if name in runtime} == runtime, "run `make lock`"


def test_the_lock_has_all_that_is_asked_for() -> None:
    asked = (REPOSITORY / "requirements-runtime.in").read_text()
    names = {normal(one) for one in re.findall(r"^([A-Za-z][A-Za-z0-9_.-]*)", asked, re.MULTILINE)}
    assert names <= pins("requirements-runtime.lock").keys(), "run `make lock`"
    assert "-r requirements-runtime.in" in (REPOSITORY / "requirements.in").read_text().splitlines()


def test_no_lock_names_an_address() -> None:
    assert not [path.name for path in REPOSITORY.glob("requirements*") if "://" in path.read_text()]


def test_what_services_import_is_in_their_images() -> None:
    distributions, there = packages_distributions(), pins("requirements-runtime.lock")
    missing = {
        f"{path.relative_to(REPOSITORY)}: {module}"
        for path in sources()
        for module in imported(path)
        if not {normal(one) for one in distributions.get(module, [])} & there.keys()
    }
    assert not missing


def sources() -> Iterator[Path]:
    """The modules that services run."""
    for root in (REPOSITORY / "libs/common/src", *REPOSITORY.glob("services/*/src")):
        for path in root.rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            if ".".join(parts) not in NOT_IN_IMAGES and not NOT_IN_IMAGES & set(parts):
                yield path


def imported(path: Path) -> set[str]:
    """The foreign packages that a module names, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    ours = {"common"} | {one.name for one in REPOSITORY.glob("services/*/src/*")}
    ours |= {one.stem for one in path.parent.glob("*.py")}  # a script's own folder
    return names - sys.stdlib_module_names - ours
