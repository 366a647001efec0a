"""How far an import is, as people are told: never back, whatever has to be done again."""

from __future__ import annotations

from dataclasses import replace

from dataset_svc.importing import Progress


class Course:
    """One import's way in `passes` over its content: fetched from a source, copied here, and read. Each pass is told
    for itself, and `overall` of them together, from 0 to 1."""

    def __init__(self, passes: int) -> None:
        self._passes = passes
        self._furthest: dict[int, tuple[int, int]] = {}
        self.overall = 0.0

    def at(self, number: int, progress: Progress) -> Progress:
        """That pass is so far; one that is begun again has come as far as before until it is beyond that."""
        read, files = self._furthest.get(number, (0, 0))
        read, files = self._furthest[number] = max(read, progress.bytes), max(files, progress.files)
        read, files = min(read, progress.total_bytes or read), min(files, progress.total_files or files)
        share = read / progress.total_bytes if progress.total_bytes else 0.0
        self.overall = max(self.overall, (number + share) / self._passes)
        return replace(progress, bytes=read, files=files, overall=self.overall)
