"""Hostile and broken archives of every kind but zip (which has tests of its own), each with what its report must say:
(code, file). Bombs are small: what they would unpack to is only declared or compressed."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zlib
from typing import Any, NamedTuple

import zstandard

from dataset_svc.archives import Limits
from tests.dataset_svc.archives.makers import seven_zip, tar, tar_gz, tar_zst, zipped
from tests.dataset_svc.archives.rars import NORMAL, RAR5, pack, rar, rar_block, rar_file, vint

FILES = {"cat/1": b"meow", "dog/1": b"woof"}
SMALL = Limits(ratio_floor=1000, entries=5, file_bytes=10_000, bytes=15_000, depth=3, total_ratio=20)
ZEROS = bytes(9_000)


class Case(NamedTuple):
    """An archive and the faults of its report."""

    name: str
    content: bytes
    faults: list[tuple[str, str]]
    limits: Limits = Limits()


def one(name: str, code: str, file: str, content: bytes, limits: Limits = Limits()) -> Case:
    return Case(name, content, [(code, file)], limits)


def tar_of(*members: Any) -> bytes:
    """A tar of (name, changes); `data` is the content."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, changed in (("cat/1", {"data": b"meow"}), *members):
            member, data = tarfile.TarInfo(name), changed.get("data", b"")
            member.size = len(data)
            for key, value in changed.items():
                if key != "data":
                    setattr(member, key, value)
            archive.addfile(member, io.BytesIO(data))
    return target.getvalue()


def bad_tar(name: str, code: str, path: str, file: str | None = None, **changed: Any) -> Case:
    return one(f"tar, {name}", code, path if file is None else file, tar_of((path, changed)))


def header(name: bytes, size: bytes, kind: bytes = b"0", checksum: int | None = None) -> bytes:
    """One raw header, whatever it says."""
    block = bytearray(
        struct.pack("100s8s8s8s12s12s8s1s100s8s", name, b"", b"", b"", size, b"", b" " * 8, kind, b"", b"ustar\x0000")
    )
    block += bytes(512 - len(block))
    block[148:156] = b"%06o\0 " % (sum(block) if checksum is None else checksum)
    return bytes(block)


END = bytes(1024)
RAW = [
    one("tar, checksum wrong", "damaged", "", header(b"a/1", b"0", checksum=7) + END),
    one("tar, size that is no number", "damaged", "", header(b"a/1", b"9z9") + END),
    one("tar, size below nothing", "damaged", "", header(b"a/1", b"\xff" * 12) + END),
    one(
        "tar, size of terabytes",
        "file_too_large",
        "a/1",
        header(b"a/1", b"\x80" + b"\0" * 4 + b"\x7f" + b"\0" * 6) + END,
    ),
    one("tar, long name of gigabytes", "damaged", "", header(b"././@LongLink", b"77777777777", b"L") + END),
    one("tar, pax header of gigabytes", "damaged", "", header(b"x", b"77777777777", b"x") + END),
    one(
        "tar, pax header malformed", "damaged", "", header(b"x", b"12", b"x") + b"99 path=a/1\n".ljust(512, b"\0") + END
    ),
    one(
        "tar, pax size that is none",
        "damaged",
        "",
        header(b"x", b"11", b"x") + b"11 size=-7\n".ljust(512, b"\0") + header(b"a/1", b"0") + END,
    ),
    one("tar, of another type", "special_file", "a/1", header(b"a/1", b"0", b"Z") + header(b"a/2", b"0") + END),
    one("tar, continued elsewhere", "multi_disk", "a/1", header(b"a/1", b"0", b"M") + header(b"a/2", b"0") + END),
    one("tar, sparse", "sparse", "a/1", header(b"a/1", b"0", b"S") + header(b"a/2", b"0") + END),
    one("tar, cut off in a file", "truncated", "", tar(FILES)[:515]),
    one("tar, cut off between files", "truncated", "", tar(FILES)[:1024]),
    one("tar, cut off in a header", "truncated", "", tar(FILES)[:700]),
]
TARS = [
    bad_tar("out of its folder", "path_traversal", "../evil"),
    bad_tar("out of a folder within", "path_traversal", "cat/../../evil"),
    bad_tar("absolute", "path_absolute", "/etc/passwd"),
    bad_tar("with a drive", "path_drive", "C:/evil"),
    bad_tar("with a backslash", "path_backslash", "cat\\..\\evil"),
    bad_tar("a control character", "path_control", "cat/a\x1b[2J"),
    bad_tar("a name too long", "path_too_long", f"cat/{'n' * 256}"),
    bad_tar("too deep", "path_too_deep", "/".join("d" * 40)),
    bad_tar("a symbolic link", "link", "cat/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    bad_tar("a hard link", "link", "cat/link", type=tarfile.LNKTYPE, linkname="cat/1"),
    bad_tar("a hard link out", "link", "cat/link", type=tarfile.LNKTYPE, linkname="../../etc/passwd"),
    bad_tar("a disk", "special_file", "cat/sda", type=tarfile.BLKTYPE),
    bad_tar("a terminal", "special_file", "cat/tty", type=tarfile.CHRTYPE),
    bad_tar("a pipe", "special_file", "cat/pipe", type=tarfile.FIFOTYPE),
    bad_tar("the same name twice", "duplicate_name", "cat/1", data=b"x"),
    bad_tar("the same name in capitals", "duplicate_name", "cat/x/../1".replace("x/../1", "É"), data=b"x")._replace(
        content=tar_of(("cat/É", {}), ("cat/e\u0301", {})), faults=[("duplicate_name", "cat/é")]
    ),
    one(
        "tar, a link and then a file through it",
        "link",
        "cat/d",
        tar_of(("cat/d", {"type": tarfile.SYMTYPE, "linkname": "/tmp"}), ("cat/e/1", {"data": b"x"})),
    ),
    one(
        "tar, name in no character set",
        "name_encoding",
        "cat/\\xff\\xff",
        header(b"cat/\xff\xff", b"0") + header(b"a/2", b"0") + END,
    ),
]
PACKED = [
    one("tar.gz, cut off", "truncated", "", tar_gz(FILES)[:-12]),
    one("tar.gz, checksum wrong", "damaged", "", tar_gz(FILES)[:-8] + bytes(8)),
    one("tar.gz, noise", "damaged", "", b"\x1f\x8b\x08\x00" + b"\xff" * 100),
    one("tar.gz, no tar inside", "unknown_archive", "", gzip.compress(b"hello" * 200)),
    one("tar.gz, a zip inside", "unknown_archive", "", gzip.compress(zipped(FILES).ljust(600, b"\0"))),
    one("tar.gz, a bomb", "ratio_bomb", "", gzip.compress(tar({"cat/1": ZEROS}), 9), SMALL),
    one("tar.gz, a bomb of empty blocks", "ratio_bomb", "", gzip.compress(tar(FILES) + bytes(9_000_000), 9)),
    one(
        "tar.gz, a bomb that declares nothing",
        "ratio_bomb",
        "",
        gzip.compress(header(b"x", b"0", b"V") * 20_000 + END, 9),
    ),
    one("tar.zst, cut off", "truncated", "", tar_zst(FILES)[:-3]),
    one("tar.zst, noise", "damaged", "", b"\x28\xb5\x2f\xfd" + b"\xff" * 100),
    one("tar.zst, a bomb", "ratio_bomb", "", zstandard.ZstdCompressor().compress(tar({"cat/1": ZEROS})), SMALL),
    one("tar, too many entries", "too_many_entries", "", tar({f"cat/{n}": b"" for n in range(6)}), SMALL),
    one("tar, a file too large", "file_too_large", "cat/1", tar({"cat/1": bytes(10_001)}), SMALL),
    one("tar, too much in all", "too_many_bytes", "", tar({f"cat/{n}": ZEROS for n in range(2)}), SMALL),
    one("tar, too deep for this installation", "path_too_deep", "a/b/c/d", tar({"a/b/c/d": b"", **FILES}), SMALL),
]
LINK = vint(4) + vint(5) + vint(1) + vint(0) + b"\x01/"
"""A redirection record (type 5): a Unix symbolic link to `/`."""
GREEDY = rar_file("cat/2", b"meow", packed=pack(b"meow"), method=NORMAL | 15 << 10)
RARS = [
    one("rar, cut off", "truncated", "", rar(FILES)[:-5]),
    one("rar, cut off in a file", "truncated", "", rar({"cat/1": bytes(5000)})[:900]),
    one("rar, out of its folder", "path_traversal", "../evil", rar({**FILES, "../evil": b"x"})),
    one("rar, absolute", "path_absolute", "/etc/passwd", rar({**FILES, "/etc/passwd": b"x"})),
    one("rar, one of several parts", "multi_disk", "", rar(FILES, main=1)),
    one(
        "rar, names encrypted",
        "encrypted",
        "",
        RAR5 + rar_block(4, vint(0) + vint(0) + vint(15) + bytes(16)) + bytes(64),
    ),
    one("rar, headers without size", "damaged", "", RAR5 + bytes(64)),
    one("rar, the same name twice", "duplicate_name", "cat/1", rar({**FILES}, middle=rar_file("cat/1", b"x"))),
    one(
        "rar, a bomb that is only declared", "ratio_bomb", "", rar(FILES, middle=rar_file("cat/2", b"x", size=1 << 33))
    ),
    one("rar, a dictionary of gigabytes", "unsupported_method", "", rar(FILES, middle=GREEDY)),
    one("rar, too many entries", "too_many_entries", "", rar({f"cat/{n}": b"x" for n in range(6)}), SMALL),
    one("rar 4, solid", "unsupported_method", "", b"Rar!\x1a\x07\x00" + bytes(2) + b"\x73\x08\x00\x0d\x00" + bytes(60)),
    one("rar 4, encrypted", "encrypted", "", b"Rar!\x1a\x07\x00" + bytes(2) + b"\x73\x80\x00\x0d\x00" + bytes(60)),
    one(
        "rar 4, one of several parts",
        "multi_disk",
        "",
        b"Rar!\x1a\x07\x00" + bytes(2) + b"\x73\x01\x00\x0d\x00" + bytes(60),
    ),
    one("rar 4, cut off", "truncated", "", b"Rar!\x1a\x07\x00" + bytes(2) + b"\x73\x00\x00\x0d\x00" + bytes(60)),
]


def sevens() -> list[Case]:
    """Those that libarchive itself must write."""
    good = seven_zip({**FILES, "cat/2": zlib.compress(b"x") * 50})
    return [
        one("7z, out of its folder", "path_traversal", "../evil", seven_zip({**FILES, "../evil": b"x"})),
        one("7z, absolute", "path_absolute", "/etc/passwd", seven_zip({**FILES, "/etc/passwd": b"x"})),
        one("7z, too many entries", "too_many_entries", "", seven_zip({f"cat/{n}": b"x" for n in range(6)}), SMALL),
        one("7z, a bomb", "ratio_bomb", "", seven_zip({"cat/1": bytes(9_000)}), SMALL),
        one("7z, cut off", "damaged", "", good[:-20]),
        one("7z, its end overwritten", "damaged", "", good[:-20] + bytes(20)),
    ]


CASES = [*RAW, *TARS, *PACKED, *RARS]
