"""The images of an archive, found by whatever name an annotation file gives them."""

from __future__ import annotations

import posixpath

Size = tuple[int, int]
"""Width and height in pixels."""


class Shelf:
    """Every image seen, and its size where it could be decoded."""

    def __init__(self) -> None:
        self.sizes: dict[str, Size | None] = {}
        self._by_name: dict[str, str | None] | None = None

    def add(self, path: str) -> None:
        """An image is there."""
        self.sizes.setdefault(path, None)

    def measured(self, path: str, width: int, height: int) -> None:
        """Its size in pixels."""
        self.sizes[path] = (width, height)

    def find(self, said: str, file: str) -> str | None:
        """The image that an annotation file means: beside it, from the top, in a folder `images`, or anywhere by a
        name that is there only once."""
        wanted = said.replace("\\", "/")
        folder = posixpath.dirname(file)
        above = posixpath.dirname(folder)
        for place in (folder, "", posixpath.join(folder, "images"), posixpath.join(above, "images"), "images"):
            path = posixpath.normpath(posixpath.join(place, wanted))
            if path in self.sizes:
                return path
        return self._anywhere().get(posixpath.basename(wanted))

    def _anywhere(self) -> dict[str, str | None]:
        if self._by_name is None:
            self._by_name = {}
            for path in self.sizes:
                name = posixpath.basename(path)
                self._by_name[name] = None if name in self._by_name else path
        return self._by_name
