"""Datasets: create, upload and import, online and offline, versions and samples."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, Literal, cast

from yard import uploads
from yard.api.group import Group
from yard.errors import Fault, YardError
from yard.shapes import Comparison, Dataset, DatasetVersion, Deed, Import, Sample, Uses
from yard.waiting import until

Part = Literal["train", "test"]
_FAULTS_TOLD = 20
_MOST_DEEDS = 200


class Datasets(Group[Dataset]):
    """`/datasets`."""

    collection, noun = "datasets", "dataset"

    def create(
        self,
        name: str,
        *,
        purpose: str,
        description: str = "",
        annotation: str = "class",
        format: str = "dir",
        test_mode: Literal["ratio", "independent"] = "ratio",
        visibility: str = "private",
        key: str | None = None,
    ) -> Dataset:
        """Make an empty dataset. `purpose` is like `image/classification`; `key` makes it once over several calls."""
        body = {
            "name": name,
            "description": description,
            "purpose": purpose,
            "annotation": annotation,
            "format": format,
            "test_mode": test_mode,
            "visibility": visibility,
        }
        return cast(Dataset, self._http.create(self.collection, body, key=key))

    def edit(self, id: str, **changes: Any) -> Dataset:
        """Change the name or the description; before the first import also purpose, annotation, format, test_mode."""
        return self._edit(id, changes)

    def upload(
        self,
        id: str,
        file: str | Path,
        *,
        part: Part = "train",
        progress: uploads.Sent | None = None,
        direct: bool | None = None,
        say: Callable[[str], None] | None = None,
    ) -> Import:
        """Upload an archive and begin its import. An upload that broke off goes on where it stopped, even after this
        program was started anew. `progress` is told bytes arrived and bytes in all. `direct`: straight to the file
        store where it gives links and can be reached from here (None: files from 16 MiB on); `say` is told a line
        where it can't."""
        return uploads.upload(self._http, self._at(id), Path(file), part, uploads.How(progress, direct, say))

    def import_(
        self,
        id: str,
        file: str | Path,
        *,
        part: Part = "train",
        sent: uploads.Sent | None = None,
        progress: Callable[[Import], None] | None = None,
        timeout: float | None = None,
    ) -> Import:
        """Upload an archive and wait until it is imported. Raises YardError (`import_failed`) with the report."""
        begun = self.upload(id, file, part=part, progress=sent)
        return self.wait_import(id, begun["id"], progress=progress, timeout=timeout)

    def imports(self, id: str) -> list[Import]:
        """Every import of the dataset, newest first."""
        return list(self._http.pages(self._at(id, "imports")))

    def show_import(self, id: str, import_id: str) -> Import:
        """One import with its progress."""
        return cast(Import, self._http.get(self._at(id, "imports", import_id)))

    def cancel_import(self, id: str, import_id: str) -> Import:
        """Give an import up; the dataset stays as it was."""
        return cast(Import, self._http.act(self._at(id, "imports", import_id, "cancel")))

    def wait_import(
        self,
        id: str,
        import_id: str,
        *,
        progress: Callable[[Import], None] | None = None,
        timeout: float | None = None,
    ) -> Import:
        """Wait until it ended; `timeout` in seconds.

        Raises YardError (`import_failed`, `import_cancelled`, `timeout`).
        """
        ended = until(
            self._http.hour,
            lambda: self.show_import(id, import_id),
            lambda seen: seen["state"] in ("succeeded", "failed", "cancelled"),
            progress=progress,
            timeout=timeout,
            what=f"import {import_id}",
        )
        if ended["state"] != "succeeded":
            raise import_failure(ended)
        return ended

    def online(self, id: str) -> Dataset:
        """Let jobs use it."""
        return self._verb(id, "online", leads_to=["online"])

    def offline(self, id: str) -> Dataset:
        """No new use of it; running jobs keep what they hold."""
        return self._verb(id, "offline", leads_to=["ready"])

    def visibility(self, id: str, visibility: str) -> Dataset:
        """`private`, `public`, or (administrators) `preset`."""
        return cast(Dataset, self._http.put(self._at(id, "visibility"), {"visibility": visibility}))

    def versions(self, id: str) -> list[DatasetVersion]:
        """Its versions, newest first."""
        return list(self._http.pages(self._at(id, "versions")))

    def version(self, id: str, number: int) -> DatasetVersion:
        """What one version holds: files, bytes, classes."""
        return cast(DatasetVersion, self._http.get(self._at(id, "versions", str(number))))

    def edit_version(self, id: str, number: int, **changes: Any) -> DatasetVersion:
        """Say what a version is called: `name`, `description`; None leaves it, an empty text takes it back."""
        given = {field: value for field, value in changes.items() if value is not None}
        return cast(DatasetVersion, self._http.change(self._at(id, "versions", str(number)), given))

    def diff(
        self,
        id: str,
        before: int,
        after: int,
        *,
        kind: str | None = None,
        part: Part | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Comparison:
        """What is another in version `after` than in `before`, with the first `limit` files (of one kind: `added`,
        `removed`, `changed`, `renamed`)."""
        query = {"kind": kind, "part": part, "limit": limit, "cursor": cursor}
        where = self._at(id, "versions", str(before), "diff", str(after))
        return cast(Comparison, self._http.get(where, query))

    def history(self, id: str, limit: int = 50) -> list[Deed]:
        """What happened to it, newest first; also where it was deleted."""
        found = self._http.pages(self._at(id, "history"), {"limit": max(1, min(limit, _MOST_DEEDS))})
        return cast("list[Deed]", list(islice(found, limit)))

    def uses(self, id: str) -> Uses:
        """Who uses it at present; what one may not see is counted only."""
        return cast(Uses, self._http.get(self._at(id, "uses")))

    def samples(
        self,
        id: str,
        *,
        class_: str | None = None,
        q: str | None = None,
        limit: int = 20,
        version: int | None = None,
        part: Part | None = None,
    ) -> list[Sample]:
        """Some of its files: of one class, with `q` in their names (whatever its case)."""
        query = {"class": class_, "q": q, "limit": limit, "version": version, "part": part}
        return cast("list[Sample]", self._http.get(self._at(id, "samples"), query)["items"])

    def details(self, id: str, number: int | None = None, *, part: Part | None = None) -> dict[str, Any]:
        """A version in figures, the current one where no number is given: classes, sizes of images, lengths of texts,
        what occurs together. Raises YardError (`dataset_empty`)."""
        if number is None:
            current = self.show(id).get("current_version")
            if current is None:
                raise YardError("dataset_empty", "The dataset has no version yet. Upload an archive first.")
            number = current["number"]
        return cast("dict[str, Any]", self._http.get(self._at(id, "versions", str(number), "details"), {"part": part}))

    def thumbnail(
        self,
        id: str,
        path: str,
        *,
        size: int = 128,
        draw: bool = False,
        version: int | None = None,
        part: Part | None = None,
    ) -> bytes:
        """A PNG of an image, `size` pixels wide or high; with boxes and outlines where `draw`."""
        query = {"path": path, "size": size, "draw": draw or None, "version": version, "part": part}
        return self._http.send("GET", self._at(id, "samples", "thumbnail"), params=query).content

    def sample(self, id: str, path: str, *, version: int | None = None, part: Part | None = None) -> bytes:
        """The content of one file."""
        query = {"path": path, "version": version, "part": part}
        return self._http.send("GET", self._at(id, "samples", "file"), params=query).content


def import_failure(ended: Import) -> YardError:
    """Why an import did not succeed, with the report's errors as faults."""
    report = ended.get("report") or {}
    errors = [fault for fault in report.get("faults", ()) if fault.get("severity") != "warning"]
    faults = tuple(
        Fault(":".join(str(fault[key]) for key in ("file", "line") if fault.get(key)), str(fault.get("reason", "")))
        for fault in errors[:_FAULTS_TOLD]
    )
    count = report.get("totals", {}).get("errors", len(errors))
    more = f" The first {_FAULTS_TOLD} of {count} faults:" if count > _FAULTS_TOLD else ""
    what = "was cancelled" if ended["state"] == "cancelled" else "failed"
    why = f": {reason.rstrip('.')}" if (reason := ended.get("reason")) else ""
    return YardError(
        f"import_{ended['state']}", f"The import {what}{why}. The dataset is as it was before.{more}", faults
    )
