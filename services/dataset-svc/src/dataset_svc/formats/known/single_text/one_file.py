"""An archive with one file of samples, whatever is in its rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import PurePosixPath

from dataset_svc.formats.port import Sink


class OneFile:
    """Finds the file among those with such endings, and lets its rows be read while it passes on."""

    suffixes: tuple[str, ...] = ()
    what = ""
    """Which files those are, for people."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._files: list[str] = []

    def folder(self, path: str) -> None:
        """See Checker. Folders say nothing."""

    def whole(self, path: str, data: bytes) -> None:
        """See Checker."""
        deque(self.stream(path, len(data), iter((data,))), maxlen=0)

    def stream(self, path: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """See Checker."""
        suffix = PurePosixPath(path).suffix.lower()
        if suffix not in self.suffixes:
            self._sink.warning("other_file", path, f"This file is no {self.what}, and is not read.")
            yield from chunks
            return
        self._files.append(path)
        if len(self._files) > 1:
            reason = f"There is more than one file of samples (the first is {self._files[0]}). Put all into one."
            self._sink.error("several_files", path, reason)
            yield from chunks
            return
        yield from self.rows(path, suffix, chunks)

    def rows(self, path: str, suffix: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Read the rows and pass the chunks on."""
        raise AssertionError("each kind of rows says how it is read")

    def found(self) -> bool:
        """Whether there is such a file; tells where there is none."""
        if not self._files:
            reason = f"The archive has no file of samples. Put one {', '.join(self.suffixes)} file into it."
            self._sink.error("no_samples_file", "", reason)
        return bool(self._files)
