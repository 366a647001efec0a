"""Reading a dataset in the `dir` format: one folder a class, and what to say when it can't be used.

A dataset that was split has `train/` and `test/` (or `val/`), each in the `dir` format itself.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from .arrays import Array
from .process import Refused, say

T = TypeVar("T")
SECONDS_BETWEEN_PROGRESS = 2.0
NOT_DATA = {"__MACOSX", "Thumbs.db", "desktop.ini"}


class Unreadable(Exception):
    """One file or input isn't what it should be; the message says why."""


@dataclass(frozen=True)
class Part(Generic[T]):
    """The samples of one part: `items[i]` belongs to class number `labels[i]` and came from `names[i]`."""

    name: str
    items: list[T]
    labels: Array
    names: list[str]
    skipped: int


@dataclass(frozen=True)
class Dataset(Generic[T]):
    """Classes in the order of their numbers, the part to learn from and, where there is one, the part kept away."""

    classes: list[str]
    train: Part[T]
    held_out: Part[T] | None

    @property
    def judged(self) -> Part[T]:
        """The part that accuracy and loss are measured on: the held-out one, else the training part."""
        return self.held_out or self.train


def load(root: Path, read: Callable[[Path], T], kind: str) -> Dataset[T]:
    """Read the whole dataset with `read` (raises `Unreadable`); `kind` names a sample in messages.

    Unreadable files are named in the log and left out. Raises `Refused` where no classifier can come of it.
    """
    train_folder, held_folder = _folders(root)
    classes = _classes(train_folder)
    train = _part("train", train_folder, classes, read, kind)
    if held_folder is None:
        return Dataset(classes, train, None)
    _no_strangers(held_folder, classes)
    held_out = _part(held_folder.name, held_folder, classes, read, kind, may_lack=True)
    if not held_out.items:
        raise Refused(
            f"the part {held_folder.name!r} holds no readable {kind}: nothing to evaluate on; "
            "choose another split ratio, or train on the dataset without a split"
        )
    return Dataset(classes, train, held_out)


def _folders(root: Path) -> tuple[Path, Path | None]:
    """The folder to learn from and the held-out one; a class may be called `train`, so both must hold folders."""
    if not root.is_dir():
        raise Refused(f"the dataset folder {root} doesn't exist")
    train = root / "train"
    for name in ("test", "val"):
        held = root / name
        if train.is_dir() and held.is_dir() and _subfolders(train):
            return train, held
    return root, None


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if _is_data(entry.name) and entry.is_dir())


def _is_data(name: str) -> bool:
    return not name.startswith(".") and name not in NOT_DATA


def _classes(folder: Path) -> list[str]:
    """Names of the class folders that hold files, sorted; at least two."""
    found = _subfolders(folder)
    if not found:
        raise Refused(f"there are no class folders in {folder}: the 'dir' format has one folder a class")
    classes = [name for name in found if _files(folder / name)]
    for name in sorted(set(found) - set(classes)):
        say(f"warning: the class folder {name!r} is empty and is left out")
    if not classes:
        raise Refused(f"all {len(found)} class folders in {folder} are empty")
    if len(classes) == 1:
        raise Refused(f"there is only one class ({classes[0]!r}) in {folder}: a classifier needs at least two")
    return classes


def _files(folder: Path) -> list[Path]:
    """Every data file at or below a class folder, in a stable order."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if _is_data(name))
        found += [Path(place, name) for name in sorted(names) if _is_data(name)]
    return found


def _no_strangers(folder: Path, classes: list[str]) -> None:
    for name in _subfolders(folder):
        if name not in classes and _files(folder / name):
            raise Refused(
                f"the class {name!r} is in {folder.name!r} but has nothing to learn from in 'train': "
                "add samples to it, or remove it"
            )


def _part(
    name: str, folder: Path, classes: list[str], read: Callable[[Path], T], kind: str, may_lack: bool = False
) -> Part[T]:
    """Read one part; a class of which nothing can be read is refused unless the part may lack it."""
    reader = _Reader(name, folder, read, kind)
    labels: list[int] = []
    for number, class_name in enumerate(classes):
        got = reader.read_class(class_name)
        if not got and not may_lack:
            raise Refused(f"none of the files of class {class_name!r} is a readable {kind}; {reader.first_problem}")
        labels += [number] * got
    say(
        f"{name}: {len(labels)} samples of {len(classes)} classes"
        + (f", {reader.skipped} unreadable files left out" if reader.skipped else "")
    )
    return Part(name, reader.items, np.array(labels, dtype=np.int64), reader.names, reader.skipped)


class _Reader(Generic[T]):
    """Reads the class folders of one part, one after another, and tells how far it is."""

    def __init__(self, name: str, folder: Path, read: Callable[[Path], T], kind: str) -> None:
        self.items: list[T] = []
        self.names: list[str] = []
        self.skipped = 0
        self.first_problem = ""
        self._name, self._folder, self._read, self._kind = name, folder, read, kind
        self._told_at = time.monotonic()

    def read_class(self, class_name: str) -> int:
        """Read one class folder; returns how many samples it gave."""
        before, self.first_problem = len(self.items), ""
        for path in _files(self._folder / class_name):
            self._read_file(path)
        return len(self.items) - before

    def _read_file(self, path: Path) -> None:
        place = path.relative_to(self._folder).as_posix()
        try:
            self.items.append(self._read(path))
            self.names.append(place)
        except Unreadable as reason:
            self.skipped += 1
            self.first_problem = self.first_problem or f"{place}: {reason}"
            say(f"warning: {self._name}/{place} is not a readable {self._kind}: {reason}")
        if time.monotonic() - self._told_at > SECONDS_BETWEEN_PROGRESS:
            self._told_at = time.monotonic()
            say(f"{self._name}: {len(self.items)} samples read")
