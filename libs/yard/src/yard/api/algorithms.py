"""Algorithms and the engines that run their code."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, cast

from yard.api.group import Group
from yard.downloads import Got, download
from yard.errors import YardError
from yard.http import Http, joined
from yard.shapes import Algorithm, Engine
from yard.waiting import until

CodePart = Literal["training", "inference"]
UPLOAD_PATIENCE = 60.0
_LEFT_OUT = frozenset({"__pycache__", ".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache"})


class Algorithms(Group[Algorithm]):
    """`/algorithms`."""

    collection, noun = "algorithms", "algorithm"

    def create(self, definition: Mapping[str, Any], *, key: str | None = None) -> Algorithm:
        """Make an algorithm from its definition: name, purpose, formats, training, inference."""
        return cast(Algorithm, self._http.create(self.collection, dict(definition), key=key))

    def edit(self, id: str, **changes: Any) -> Algorithm:
        """Change fields of the definition."""
        return self._edit(id, changes)

    def put_code(self, id: str, part: CodePart, code: str | Path) -> Algorithm:
        """Give a part its code: a zip file, or a folder that is zipped here."""
        content, headers = code_package(Path(code)), {"Content-Type": "application/zip"}
        at = self._at(id, "code", part)
        return cast(
            Algorithm,
            self._http.send("PUT", at, content=content, headers=headers, patience=UPLOAD_PATIENCE).json(),
        )

    def get_code(self, id: str, part: CodePart, to: str | Path, progress: Got | None = None) -> Path:
        """Download a part's code as a zip."""
        return download(self._http, self._at(id, "code", part), Path(to), progress=progress)

    def online(self, id: str) -> Algorithm:
        """Let jobs use it."""
        return self._verb(id, "online", leads_to=["online"])

    def offline(self, id: str) -> Algorithm:
        """No new use of it."""
        return self._verb(id, "offline", leads_to=["ready"])

    def visibility(self, id: str, visibility: str) -> Algorithm:
        """`private`, `public`, or (administrators) `preset`."""
        return cast(Algorithm, self._http.put(self._at(id, "visibility"), {"visibility": visibility}))


class Engines:
    """`/engines`; an engine is known by its name."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self) -> list[Engine]:
        """Every engine with its state."""
        return list(self._http.pages("engines"))

    def show(self, name: str) -> Engine:
        """One engine."""
        return cast(Engine, self._http.get(f"engines/{joined([name])}"))

    def create(self, definition: Mapping[str, Any]) -> Engine:
        """Add an engine (administrators): name, framework, version, requirements."""
        return cast(Engine, self._http.create("engines", dict(definition)))

    def build(
        self, name: str, *, progress: Callable[[Engine], None] | None = None, timeout: float | None = None
    ) -> Engine:
        """Build it and wait until it is ready. Raises YardError (`engine_failed`, `timeout`)."""
        self._http.act(f"engines/{joined([name])}/build")
        return self.wait(name, progress=progress, timeout=timeout)

    def wait(
        self, name: str, *, progress: Callable[[Engine], None] | None = None, timeout: float | None = None
    ) -> Engine:
        """Wait until a build that was asked for ended."""
        ended = until(
            self._http.hour,
            lambda: self.show(name),
            lambda seen: seen["state"] in ("ready", "failed"),
            progress=progress,
            timeout=timeout,
            what=f"engine {name}",
        )
        if ended["state"] == "failed":
            raise YardError(
                "engine_failed", f"Engine {name} could not be built: {ended.get('detail') or 'no reason told'}"
            )
        return ended


def code_package(code: Path) -> bytes:
    """A zip file's content, or a folder packed into one, without caches and hidden tools' folders."""
    if code.is_file():
        return code.read_bytes()
    if not code.is_dir():
        raise YardError("no_such_file", f"There is no file or folder {code}.")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(code.rglob("*")):
            inside = path.relative_to(code)
            if path.is_file() and not path.is_symlink() and not _LEFT_OUT.intersection(inside.parts):
                archive.write(path, inside.as_posix())
    return packed.getvalue()
