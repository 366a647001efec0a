"""The books of the cache: what is staged, since when unused, who holds it, who is building it.

Below the cache folder: `<name>/` is a staged folder; `.notes/<name>` tells its data, and its time is when it was
last used; `.locks/<name>` is locked (flock) by whoever builds, uses or drops it; `.held/<workload>/<name>` says who
holds it; `.building/` and `.doomed/` are what no one may look at.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from common.disk import telling_when_full
from common.kernel.errors import Invalid, NotFound
from common.kernel.ids import new_id
from common.staging.folder import FOLDER_MODE, folders_below, remove_folder

_WORKLOAD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}").fullmatch
ARRIVING = ".arriving-"
"""How files begin that are not whole yet, in a folder that is filled while it is read."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Note:
    """What is known of a staged folder: the `data` in it (name of the plain folder, bytes) and its last use."""

    name: str
    data: Mapping[str, int]
    used: float

    @property
    def is_view(self) -> bool:
        """Whether it is made of links into other folders."""
        return set(self.data) != {self.name}


class Shelf:
    """The cache folder. Blocking, short."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache.absolute()
        for name in (".notes", ".locks", ".held", ".building", ".doomed"):
            (self.cache / name).mkdir(parents=True, exist_ok=True)
        self.cache.chmod(0o711)

    def path(self, name: str) -> Path:
        """Where the folder of that name is or will be."""
        return self.cache / name

    def building(self, name: str) -> Path:
        """Where it is built."""
        return self.cache / ".building" / name

    def try_lock(self, name: str, *, shared: bool = False) -> int | None:
        """A descriptor that holds the lock of a name, or None while somebody else has it. Closing it unlocks. A shared
        one is held beside others that are, and only keeps the folder from being built or dropped."""
        descriptor = os.open(self.cache / ".locks" / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def is_ready(self, name: str) -> bool:
        """Whether a folder is there and can be trusted: one of an earlier boot may have lost bytes with the power."""
        note = self._read(name)
        return note is not None and "begun" not in note and self._is_trusted(name, note)

    def is_begun(self, name: str) -> bool:
        """Whether a folder is there, if not yet with all its files."""
        note = self._read(name)
        return note is not None and self._is_trusted(name, note)

    def _is_trusted(self, name: str, note: Mapping[str, Any]) -> bool:
        return note.get("boot") == _boot() and self.path(name).is_dir()

    def publish(self, name: str, data: Mapping[str, int], *, begun: bool = False) -> None:
        """A built folder gets its name; with `begun` its files are yet to come. The lock must be held."""
        self.drop(name)
        self._note(name, {"data": dict(data), "boot": _boot()} | ({"begun": True} if begun else {}))
        self.building(name).rename(self.path(name))
        if not begun:
            self.path(name).chmod(FOLDER_MODE)

    def complete(self, name: str, data: Mapping[str, int]) -> None:
        """All files of a begun folder are there. The lock must be held."""
        if self.is_begun(name):
            for leftover in self.path(name).glob(f"{ARRIVING}*"):
                leftover.unlink()
            for folder in (self.path(name), *folders_below(self.path(name))):
                folder.chmod(FOLDER_MODE)
            self._note(name, {"data": dict(data), "boot": _boot()})

    def drop_begun(self, name: str) -> None:
        """Remove a folder that was begun, unless somebody uses or holds it or all of it is there."""
        with self.trying(name) as locked:
            if locked and name not in self.held() and not self.is_ready(name):
                self.drop(name)

    def _note(self, name: str, row: Mapping[str, Any]) -> None:
        with telling_when_full("the cache's notes"):
            note = self.cache / ".notes" / name
            draft = note.with_name(f".{name}")
            draft.write_bytes(orjson.dumps(row))
            draft.rename(note)

    def touch(self, name: str) -> None:
        """Note that it is used now."""
        os.utime(self.cache / ".notes" / name)

    def notes(self) -> list[Note]:
        """Every staged folder, the one longest unused first."""
        found = []
        for path in (self.cache / ".notes").glob("[!.]*"):
            row = self._read(path.name)
            with suppress(FileNotFoundError):
                if row is not None and self.path(path.name).is_dir():
                    found.append(Note(path.name, row["data"], path.stat().st_mtime))
        return sorted(found, key=lambda note: (note.used, not note.is_view, note.name))

    def hold(self, name: str, workload: str) -> None:
        """Keep a folder for a workload until it is released. Raises NotFound (`not_staged`), Invalid."""
        check_workload(workload)
        folder = self.cache / ".held" / workload
        with telling_when_full("a mark in the staging cache"):
            folder.mkdir(exist_ok=True)
            (folder / name).touch()
        if not self.path(name).is_dir():
            (folder / name).unlink()
            raise NotFound("not_staged", f"{self.path(name)} is not staged any more; stage it again.")

    def release(self, workload: str) -> None:
        """Let go of everything that a workload holds."""
        check_workload(workload)
        folder = self.cache / ".held" / workload
        if folder.is_dir():
            for mark in folder.iterdir():
                mark.unlink(missing_ok=True)
            folder.rmdir()

    def held(self) -> set[str]:
        """The names that some workload holds."""
        names: set[str] = set()
        for folder in (self.cache / ".held").iterdir():
            with suppress(FileNotFoundError):
                names.update(mark.name for mark in folder.iterdir())
        return names

    def drop(self, name: str) -> None:
        """Remove a folder, first from sight and then from the disk. The lock must be held."""
        if self.path(name).is_dir():
            doomed = self.cache / ".doomed" / new_id("doomed")
            self.path(name).chmod(0o755)
            self.path(name).rename(doomed)
            remove_folder(doomed)
        (self.cache / ".notes" / name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what killed processes were building or removing, and what an earlier boot left unused."""
        for folder in (self.cache / ".building").iterdir():
            with self.trying(folder.name) as locked:
                if locked:
                    remove_folder(folder)
        for folder in (self.cache / ".doomed").iterdir():
            with suppress(FileNotFoundError):  # another process is removing it too
                remove_folder(folder)
        held = self.held()
        for note in self.notes():
            with self.trying(note.name) as locked:
                if locked and note.name not in held and not self.is_ready(note.name):
                    self.drop(note.name)

    @contextmanager
    def trying(self, name: str) -> Iterator[bool]:
        """Whether the lock could be had; it is held meanwhile."""
        descriptor = self.try_lock(name)
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            row: dict[str, Any] = orjson.loads((self.cache / ".notes" / name).read_bytes())
        except FileNotFoundError:
            return None
        return row


def check_workload(workload: str) -> None:
    """Raise Invalid (`bad_workload`) for an id that can't be a file's name."""
    if not _WORKLOAD(workload):
        raise Invalid("bad_workload", f"{workload!r} can't be a workload's id.")


def _boot() -> str:
    """Which boot of this machine it is; empty where the system doesn't tell."""
    return _BOOT.read_text().strip() if _BOOT.exists() else ""
