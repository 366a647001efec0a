"""Packing files into a few large objects. Needs no event loop, so an import can do it in a child process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson

from common.disk import telling_when_full
from common.kernel.errors import NotFound
from common.manifests.index import Entry, Header
from common.manifests.packfile import PackFile
from common.manifests.paths import check_path
from common.manifests.spool import Spool

_COPY = 1 << 20
_SUMMARY = "packed.json"


@dataclass(frozen=True, slots=True)
class Packed:
    """A finished folder of packs, ready to be stored.

    `objects` are its packs with their `sizes` in bytes; `body` is the index without its first line, which needs
    the keys under which the packs will be stored. It is also in the folder itself (`load`), so that whoever comes
    after a kill can go on from there.
    """

    folder: Path
    objects: tuple[Path, ...]
    sizes: tuple[int, ...]
    body: Path
    digest: str
    files: int
    bytes: int

    def header(self, keys: tuple[str, ...]) -> Header:
        """The first line of the index when the packs are stored under these keys."""
        return Header(keys, self.files, self.bytes, self.digest)

    def save(self) -> None:
        """Write the summary into the folder, as the last thing: a folder that has it is complete."""
        row = {"sizes": self.sizes, "digest": self.digest, "files": self.files, "bytes": self.bytes}
        draft = self.folder / f"{_SUMMARY}.new"
        draft.write_bytes(orjson.dumps(row))
        draft.replace(self.folder / _SUMMARY)

    @classmethod
    def load(cls, folder: Path) -> Packed:
        """What `PackWriter.finish` left in a folder. Raises NotFound (`packed_not_found`) where it never finished."""
        try:
            row = orjson.loads((folder / _SUMMARY).read_bytes())
        except FileNotFoundError:
            raise NotFound("packed_not_found", f"{folder} holds no finished packs; pack the files again.") from None
        objects = tuple(folder / pack_name(number) for number in range(len(row["sizes"])))
        sizes = tuple(row["sizes"])
        return cls(folder, objects, sizes, folder / "body", row["digest"], row["files"], row["bytes"])


def pack_name(number: int) -> str:
    """The last part of a pack's key, and its name in a folder of packs."""
    return f"pack-{number}"


class PackWriter:
    """Concatenates files into packs of at most `pack_bytes`; a larger file gets an object of its own.

    Whatever an earlier writer left in `folder` is thrown away. Memory stays flat however many files come.
    Not for use from several threads.
    """

    def __init__(self, folder: Path, *, pack_bytes: int = 256 << 20) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.iterdir():
            if leftover.name.startswith((_SUMMARY, "pack-", "run-", "body")):
                leftover.unlink()
        self._folder = folder
        self._pack_bytes = pack_bytes
        self._spool = Spool(folder)
        self._sizes: list[int] = []
        self._pack: PackFile | None = None

    def add_bytes(self, path: str, data: bytes, sha256: str | None = None) -> Entry:
        """Add a file whose content is at hand; `sha256` (hex) where it is known already.

        Raises Invalid (`bad_path`), StorageFull (`storage_full`). A duplicate is found by `finish`.
        """
        check_path(path)
        size = len(data)
        pack = self._room_for(size)
        entry = Entry(path, size, sha256 or hashlib.sha256(data).hexdigest(), len(self._sizes), pack.size)
        try:
            pack.write(data)
        except OSError:
            pack.cut(entry.offset)
            with telling_when_full(path):
                raise
        self._spool.add(entry)
        return entry

    def add(self, path: str, chunks: Iterable[bytes]) -> Entry:
        """Add a file from its chunks, of any length. Raises as `add_bytes`, and whatever `chunks` raises;
        in that case the file isn't in, and the writer can go on with the next."""
        check_path(path)
        pack = self._room_for(0)
        digest, start = hashlib.sha256(), pack.size
        try:
            with telling_when_full(path):
                for chunk in chunks:
                    if start and pack.size + len(chunk) > self._pack_bytes:
                        pack, start = self._move_to_new_pack(pack, start), 0
                    pack.write(chunk)
                    digest.update(chunk)
        except BaseException:
            assert self._pack is not None
            self._pack.cut(start if self._pack is pack else 0)
            raise
        entry = Entry(path, pack.size - start, digest.hexdigest(), len(self._sizes), start)
        self._spool.add(entry)
        return entry

    def finish(self) -> Packed:
        """Close the packs and sort the index.

        Raises Invalid (`duplicate_path`), StorageFull (`storage_full`).
        """
        with telling_when_full("the files and their index"):
            self._finish_pack()
            body = self._folder / "body"
            digest = self._spool.write(body)
            objects = tuple(self._folder / pack_name(number) for number in range(len(self._sizes)))
            packed = Packed(self._folder, objects, tuple(self._sizes), body, digest.value(), digest.files, digest.bytes)
            packed.save()
        return packed

    def close(self) -> None:
        """Give up without finishing; what was written stays for the next writer to throw away."""
        if self._pack is not None:
            self._pack.close()
            self._pack = None

    def _room_for(self, size: int) -> PackFile:
        """The open pack, after beginning another one where `size` more bytes would be too many for it."""
        if self._pack is not None:
            if self._pack.size + size <= self._pack_bytes or not self._pack.size:
                return self._pack
            self._finish_pack()
        self._pack = PackFile(self._folder / pack_name(len(self._sizes)))
        return self._pack

    def _finish_pack(self) -> None:
        """Close the open pack, if there is one, and count it."""
        if self._pack is None:
            return
        with telling_when_full("a pack of files"):
            self._pack.flush()
        self._sizes.append(self._pack.size)
        self.close()

    def _move_to_new_pack(self, full: PackFile, start: int) -> PackFile:
        """The file being written has outgrown the pack: take its bytes, which begin at `start`, to a new one."""
        full.flush()
        self._sizes.append(start)
        self._pack = pack = PackFile(self._folder / pack_name(len(self._sizes)))
        try:
            for at in range(start, full.size, _COPY):
                pack.write(full.read(at, min(_COPY, full.size - at)))
        finally:
            full.cut(start)
            full.close()
        return pack
