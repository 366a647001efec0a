"""Formatted sets: order a part of a dataset in a format, wait for it, download it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

from yard.api.group import Group
from yard.downloads import download
from yard.errors import YardError
from yard.http import Http
from yard.pace import Time
from yard.shapes import File, FormattedSet
from yard.waiting import until


class FormattedSets(Group[FormattedSet]):
    """`/formatted-sets`."""

    collection, noun = "formatted-sets", "formatted set"

    def __init__(self, http: Http) -> None:
        super().__init__(http)
        self._hour: Time = http.hour

    def create(
        self,
        dataset: str,
        format: str,
        *,
        version: int | None = None,
        part: str = "train",
        ratio: float | None = None,
        side: str | None = None,
        seed: int = 0,
        name: str | None = None,
        complement: bool = False,
        key: str | None = None,
    ) -> FormattedSet:
        """Order one. With `ratio` it has that part of the dataset (side `train`) or the rest (`held_out`)."""
        body = {"dataset_id": dataset, "format": format, "part": part, "seed": seed, "complement": complement}
        more = {"version": version, "ratio": ratio, "side": side, "name": name}
        given = {word: value for word, value in more.items() if value is not None}
        return cast(FormattedSet, self._http.create(self._at(), body | given, key=key))

    def complement(self, id: str) -> FormattedSet:
        """The rest of its version, made where it is not there yet."""
        return self._verb(id, "complement")

    def wait(
        self, id: str, *, progress: Callable[[FormattedSet], None] | None = None, timeout: float | None = None
    ) -> FormattedSet:
        """Wait until it is built. Raises YardError (`set_failed`, `timeout`)."""
        over = lambda seen: seen["state"] not in ("queued", "building")  # noqa: E731
        done = until(self._hour, lambda: self.show(id), over, progress=progress, timeout=timeout, what=id)
        if done["state"] == "failed":
            raise YardError("set_failed", f"{done['name']} could not be made: {done['reason']}")
        return done

    def files(self, id: str) -> list[File]:
        """Its files."""
        return list(self._http.pages(self._at(id, "files")))

    def download(self, id: str, folder: str | Path, *, progress: Callable[[int, int], None] | None = None) -> Path:
        """Download all its files into a folder, each checked against its digest."""
        files, done = self.files(id), 0
        total = sum(file["size"] for file in files)
        for file in files:
            to = Path(folder, file["path"])
            at = self._at(id, "files", "file")
            download(self._http, at, to, params={"path": file["path"]}, sha256=file["sha256"], size=file["size"])
            done += file["size"]
            if progress is not None:
                progress(done, total)
        return Path(folder)
