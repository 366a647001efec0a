"""The learning curve: JSON lines that the platform follows while the job runs."""

import json
from pathlib import Path


class Curve:
    """Appends points to the file named by YARD_METRICS; without one, points go nowhere."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._end_torn_line(path)

    def point(self, step: int, **values: float) -> None:
        """Append one point; it is in the file, as a whole line, when this returns."""
        if self._path is None:
            return
        line = json.dumps({"step": step, **values}, allow_nan=False) + "\n"
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line)

    @staticmethod
    def _end_torn_line(path: Path) -> None:
        """A process that was killed while it wrote may have left half a line: keep the next one apart."""
        with path.open("a+b") as file:
            if file.tell() == 0:
                return
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")
