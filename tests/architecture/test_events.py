"""Every declared event is one of the design's, and only its owner's code makes it."""

import ast
from pathlib import Path

import pytest

import common.contracts  # noqa: F401 - registers every event type
from common.kernel.events import EVENT_TYPES
from tests.architecture.owners import OWNERS

ROOT = Path(__file__).parents[2]
SERVICES = {path.name: path / "src" for path in sorted((ROOT / "services").iterdir())}
SHARED = {"allocation.requested", "allocation.cancelled", "allocation.released", "allocation.confirmed"}
"""Told by the workload loop of `common`, in the name of whichever service runs it."""


def made_in(folder: Path) -> set[str]:
    """The event types that the code below a folder makes."""
    return {type_ for path in folder.rglob("*.py") for type_ in _made(ast.parse(path.read_text()))}


def _made(module: ast.Module) -> set[str]:
    """Those whose class is imported from the contracts, and called."""
    classes = {cls.__name__: type_ for type_, cls in EVENT_TYPES.items()}
    named = {
        alias.asname or alias.name: classes[alias.name]
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("common.contracts")
        for alias in node.names
        if alias.name in classes
    }
    calls = [node.func for node in ast.walk(module) if isinstance(node, ast.Call)]
    return {named[call.id] for call in calls if isinstance(call, ast.Name) and call.id in named}


@pytest.mark.row("P2")
def test_the_event_types_are_those_of_the_design() -> None:
    declared = {type_ for type_, cls in EVENT_TYPES.items() if cls.__module__.startswith("common.")}
    assert declared == set(OWNERS)


@pytest.mark.row("P2")
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_makes_only_events_of_its_own(service: str) -> None:
    foreign = {type_ for type_ in made_in(SERVICES[service]) if service not in OWNERS[type_]}
    assert not foreign


@pytest.mark.row("P2")
def test_common_makes_only_what_every_workload_tells() -> None:
    assert made_in(ROOT / "libs" / "common" / "src") == SHARED
