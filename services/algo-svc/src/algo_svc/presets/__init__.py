"""The algorithms that a fresh platform brings (002 §2.2.6), and the engines they run in.

A preset is ordinary user code: a definition (`algorithm.json`) and a self-contained code package, registered
by algo-svc like anybody's. What presets share (`shared/yardkit`) is copied into each package, so that a
package needs nothing of the platform at run time.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SHARED = "shared"
DEFINITION = "algorithm.json"


@dataclass(frozen=True)
class PresetDefinition:
    """One preset: its name, its definition as written in `algorithm.json`, and the files of its code package.

    Keys of `code` are relative POSIX paths (`train.py`, `yardkit/data.py` …).
    """

    name: str
    definition: dict[str, Any]
    code: dict[str, bytes]


@dataclass(frozen=True)
class EngineDefinition:
    """A Python environment by name: the framework it carries and exactly pinned requirements (PEP 508)."""

    name: str
    framework: str
    version: str
    python: str
    requirements: list[str]


def load_presets(root: Path = HERE) -> list[PresetDefinition]:
    """Every preset beneath `root`, sorted by name; raises OSError or ValueError for a damaged installation."""
    shared = _files(root / SHARED)
    presets = []
    for path in sorted(root.glob(f"*/{DEFINITION}")):
        definition = json.loads(path.read_text(encoding="utf-8"))
        presets.append(PresetDefinition(definition["name"], definition, {**shared, **_files(path.parent)}))
    return sorted(presets, key=lambda preset: preset.name)


def load_engines(root: Path = HERE) -> list[EngineDefinition]:
    """The engines that the presets run in."""
    return [EngineDefinition(**engine) for engine in json.loads((root / "engines.json").read_text("utf-8"))]


def _files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its relative path, without what Python left there by running it."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
