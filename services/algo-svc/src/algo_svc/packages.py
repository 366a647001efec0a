"""Code packages: small zips that strangers pack, read without trusting a word of them.

`zipfile` alone reads overlapping entries, absolute names and bombs; everything is checked against the central
directory first, and what is unpacked is counted while it is read.
"""

from __future__ import annotations

import hashlib
import io
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from algo_svc.domain.errors import BadPackage
from common.kernel.errors import Invalid
from common.manifests import check_path

_CHUNK = 1 << 16
_UTF8_FLAG = 0x800
_ENCRYPTED_FLAG = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_EPOCH = (1980, 1, 1, 0, 0, 0)
_HEADER_BYTES = 30
_BROKEN = (
    zipfile.BadZipFile,  # no zip, or one whose directory and entries don't agree
    zlib.error,  # an entry's bytes are none that deflate writes
    EOFError,  # an entry goes on behind the end of the file
    NotImplementedError,  # a later version of zip, a patch, strong encryption; methods are looked at before
    UnicodeDecodeError,  # a name is flagged as UTF-8 and isn't
    OverflowError,  # an entry begins or ends at 2^63 bytes or beyond
)
"""What `zipfile` raises for bytes that are no good zip; changing zips at random has shown no other."""


@dataclass(frozen=True)
class PackageLimits:
    """`entries` in the zip, `unpacked` bytes together, `ratio` of unpacked to packed bytes."""

    entries: int
    unpacked: int
    ratio: int


def read_package(content: bytes, limits: PackageLimits) -> dict[str, bytes]:
    """The files of a code package, by path. Raises BadPackage (`bad_code_package`) naming the entry and the reason."""
    with _unzipping("the package"):
        archive = zipfile.ZipFile(io.BytesIO(content))
    with archive:
        wanted = _checked(archive.infolist(), len(content), limits)
        return dict(_read_all(archive, wanted, limits))


@contextmanager
def _unzipping(what: str) -> Iterator[None]:
    """Around what `zipfile` does with bytes that nobody has checked."""
    try:
        yield
    except _BROKEN as error:
        reason = str(error) or "it ends too early"
        raise BadPackage(what, f"It can't be read as a zip ({reason}). Pack it again.") from error


def _checked(entries: list[zipfile.ZipInfo], packed: int, limits: PackageLimits) -> list[tuple[str, zipfile.ZipInfo]]:
    """The entries that are files, with the names they will have."""
    if len(entries) > limits.entries:
        raise BadPackage("the package", f"It has {len(entries)} entries; at most {limits.entries} are allowed.")
    _check_overlaps(entries)
    files = [(_name(entry), entry) for entry in entries if not entry.filename.endswith("/")]
    if not files:
        raise BadPackage("the package", "It holds no files.")
    for name, entry in files:
        _check_entry(name, entry)
    _check_duplicates(name for name, _ in files)
    total = sum(entry.file_size for _, entry in files)
    if total > limits.unpacked:
        raise BadPackage("the package", f"Its files have {total} bytes; at most {limits.unpacked} are allowed.")
    if total > limits.ratio * max(packed, 1024):
        raise BadPackage("the package", f"Unpacked it is more than {limits.ratio} times larger: that is refused.")
    return files


def _name(entry: zipfile.ZipInfo) -> str:
    """The name as it was meant: zips made on Chinese Windows are GBK without the UTF-8 flag."""
    name = entry.orig_filename if hasattr(entry, "orig_filename") else entry.filename
    if not entry.flag_bits & _UTF8_FLAG:
        raw = name.encode("cp437")
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            name = raw.decode("gb18030", errors="replace")
    return unicodedata.normalize("NFC", name)


def _check_entry(name: str, entry: zipfile.ZipInfo) -> None:
    mode = entry.external_attr >> 16
    kind = stat.S_IFMT(mode)
    if kind not in (0, stat.S_IFREG):
        raise BadPackage(name, "It is a link or a device; put the file itself there.")
    if "\\" in name or name[1:2] == ":":
        raise BadPackage(name, "Its name has a backslash or a drive; pack it with relative names and slashes.")
    if entry.flag_bits & _ENCRYPTED_FLAG:
        raise BadPackage(name, "It is encrypted. Pack it without a password.")
    if entry.compress_type not in _METHODS:
        raise BadPackage(name, "It is compressed in an unusual way. Use an ordinary zip (deflate).")
    try:
        check_path(name)
    except Invalid as problem:
        raise BadPackage(problem.faults[0].where or "a name", problem.faults[0].reason) from None


def _check_duplicates(names: Iterable[str]) -> None:
    """No two names that are one on a file system that folds case, and no file where another needs a folder."""
    seen: dict[str, str] = {}
    for name in names:
        key = name.casefold()
        if key in seen:
            raise BadPackage(name, f"It is there twice (also as {seen[key]!r}).")
        seen[key] = name
    for key, name in seen.items():
        parts = key.split("/")
        for depth in range(1, len(parts)):
            if (above := "/".join(parts[:depth])) in seen:
                raise BadPackage(name, f"{seen[above]!r} is a file, so nothing can be below it.")


def _check_overlaps(entries: list[zipfile.ZipInfo]) -> None:
    """No byte of the archive belongs to two entries."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            raise BadPackage(entry.filename, "Its bytes are another entry's too: that is refused.")
        end = entry.header_offset + _HEADER_BYTES + entry.compress_size


def _read_all(
    archive: zipfile.ZipFile, wanted: list[tuple[str, zipfile.ZipInfo]], limits: PackageLimits
) -> Iterator[tuple[str, bytes]]:
    left = limits.unpacked
    for name, entry in wanted:
        with _unzipping(name), archive.open(entry) as stream:
            content = bytearray()
            while chunk := stream.read(_CHUNK):
                content += chunk
                if len(content) > min(entry.file_size, left):
                    raise BadPackage(name, "It holds more bytes than it declares.")
        left -= len(content)
        yield name, bytes(content)


def write_package(files: Mapping[str, bytes]) -> bytes:
    """A zip of these files, the same bytes every time."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(files):
            info = zipfile.ZipInfo(path, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, files[path])
    return target.getvalue()


def code_digest(files: Mapping[str, bytes]) -> str:
    """A name for exactly these files (SHA-256 over paths and contents)."""
    whole = hashlib.sha256()
    for path in sorted(files):
        whole.update(f"{path}\0{hashlib.sha256(files[path]).hexdigest()}\n".encode())
    return whole.hexdigest()
