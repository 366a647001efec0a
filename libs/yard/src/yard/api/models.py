"""Models: lineage, download, publish as a service."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from yard.api.group import Group
from yard.downloads import Got, download, facts_of
from yard.shapes import File, Model, Published


class Models(Group[Model]):
    """`/models`."""

    collection, noun = "models", "model"

    def edit(self, id: str, *, name: str | None = None, description: str | None = None) -> Model:
        """Change the name or the description."""
        return self._edit(id, {"name": name, "description": description})

    def publish(self, id: str, service_name: str, *, description: str = "", key: str | None = None) -> Published:
        """Make a service of it; answers the id that the service will have soon."""
        body = {"service_name": service_name, "description": description}
        return cast(Published, self._http.create(self._at(id, "publish"), body, key=key))

    def lineage(self, id: str) -> dict[str, Any]:
        """Which job, algorithm, dataset version and parameters it comes from."""
        return cast("dict[str, Any]", self._http.get(self._at(id, "lineage")))

    def files(self, id: str) -> list[File]:
        """Its files."""
        return list(self._http.pages(self._at(id, "files")))

    def download(self, id: str, to: str | Path, *, path: str | None = None, progress: Got | None = None) -> Path:
        """Download one file of it, or all of them as a zip, to the path `to`."""
        if path is None:
            return download(self._http, self._at(id, "files.zip"), Path(to), progress=progress)
        at, known = self._at(id, "files", "file"), facts_of(self.files(id), path)
        return download(self._http, at, Path(to), params={"path": path}, progress=progress, **known)
