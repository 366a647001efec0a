"""Code packages: what is packed is read back, and what strangers packed is read or refused, whatever it is."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from algo_svc import packages
from algo_svc.domain.errors import BadPackage
from algo_svc.packages import PackageLimits, read_package, write_package

LIMITS = PackageLimits(entries=50, unpacked=1 << 20, ratio=100)


def packed(entries: dict[str, bytes], **attributes: Any) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for attribute, value in attributes.items():
                setattr(info, attribute, value)
            archive.writestr(info, content)
    return target.getvalue()


@pytest.mark.row("A2")
@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}){0,2}\.(py|txt)", fullmatch=True),
        st.binary(max_size=200),
        min_size=1,
        max_size=LIMITS.entries,
    )
)
def test_what_is_packed_is_read_back(files: dict[str, bytes]) -> None:
    assert read_package(write_package(files), LIMITS) == files


@pytest.mark.row("A2")
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no zip at all", "can't be read"),
        (b"", "can't be read"),
        (packed({"a.py": b"x" * 100})[:-30], "can't be read"),
        (packed({"../a.py": b""}), r"'\.\.' component"),
        (packed({"/etc/a.py": b""}), "absolute"),
        (packed({"C:/a.py": b""}), "drive"),
        (packed({"a\\b.py": b""}), "backslash"),
        (packed({"a.py": b"", "A.py": b""}), "twice"),
        (packed({"a": b"", "a/b.py": b""}), "nothing can be below"),
        (packed({"link": b"/etc/passwd"}, external_attr=(stat.S_IFLNK | 0o777) << 16), "link"),
        (packed({"dev": b""}, external_attr=(stat.S_IFCHR | 0o777) << 16), "device"),
        (packed({f"{n}.py": b"" for n in range(51)}), "at most 50"),
        (packed({"bomb": b"\0" * (1 << 20)}), "times larger"),
        (packed({"big": bytes(range(256)) * 4097}), "bytes; at most"),
        (packed({"folder/": b""}), "no files"),
    ],
)
def test_packages_that_are_refused(content: bytes, reason: str) -> None:
    with pytest.raises(BadPackage, match=reason):
        read_package(content, LIMITS)


@pytest.mark.row("A2")
def test_an_encrypted_entry_is_refused() -> None:
    content = bytearray(packed({"a.py": b"x"}))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(BadPackage, match="encrypted"):
        read_package(bytes(content), LIMITS)


@pytest.mark.row("A2")
def test_overlapping_entries_are_refused() -> None:
    content = bytearray(packed({"a.py": b"x" * 50, "b.py": b"x" * 50}))
    second = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 1)
    content[second + 42 : second + 46] = (0).to_bytes(4, "little")
    with pytest.raises(BadPackage, match=r"another entry's|can't be read"):
        read_package(bytes(content), LIMITS)


@pytest.mark.row("A2")
def test_names_from_chinese_windows() -> None:
    name = "训练.py".encode("gbk")
    content = packed({"xxxx.py"[: len(name)].ljust(len(name), "x"): b"1"})
    content = content.replace(b"xxxx.py"[: len(name)].ljust(len(name), b"x"), name)
    assert read_package(content, LIMITS) == {"训练.py": b"1"}


ORDINARY = packed({"train_a_model.py": b"print(1)\n" * 20, "目录/x.txt": bytes(range(256))})
DIRECTORY = ORDINARY.index(b"PK\x01\x02")
FOUR, TWELVE, SIXTEEN, NONE = b"\x04\0", b"\x0c\0", b"\x10\0", b"\0\0"
AT_2_64 = b"\xff" * 4 + b"a.py" + b"\x01\0\x08\0" + b"\xff" * 8  # where zip64 has an entry lie 2^64 - 1 bytes from here


def changed(content: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """At each place so many bytes gone, and others put there."""
    for where, gone, put in changes:
        content = content[:where] + put + content[where + gone :]
    return content


ONE = packed({"a.py": b"x" * 9})
ONE_DIRECTORY, LONG = ONE.index(b"PK\x01\x02"), (1000).to_bytes(4, "little")
BROKEN: dict[str, tuple[type[Exception], bytes, list[tuple[int, int, bytes]]]] = {
    "another sum": (zipfile.BadZipFile, ONE, [(14, 4, b"\xff" * 4), (ONE_DIRECTORY + 16, 4, b"\xff" * 4)]),
    "no deflated bytes": (zlib.error, ONE, [(30 + len("a.py"), 1, b"\xff")]),
    "longer than the file": (
        EOFError,
        ONE,
        [(8, 2, NONE), (18, 8, LONG * 2), (ONE_DIRECTORY + 10, 2, NONE), (ONE_DIRECTORY + 20, 8, LONG * 2)],
    ),
    "a version of zip that there isn't": (NotImplementedError, ONE, [(ONE_DIRECTORY + 6, 1, b"\xff")]),
    "flagged as a patch": (NotImplementedError, ONE, [(ONE_DIRECTORY + 8, 1, b"\x20")]),
    "flagged as strongly encrypted": (NotImplementedError, ONE, [(ONE_DIRECTORY + 8, 1, b"\x40")]),
    "a name that is no UTF-8": (
        UnicodeDecodeError,
        ONE,
        [(ONE_DIRECTORY + 9, 1, b"\x08"), (ONE_DIRECTORY + 46, 2, b"\xff\xfe")],
    ),
    "beyond 2^63": (OverflowError, ORDINARY, [(DIRECTORY + 28, 4, FOUR + TWELVE), (DIRECTORY + 42, 20, AT_2_64)]),
}


@pytest.mark.row("A2")
@pytest.mark.parametrize("how", BROKEN)
def test_each_kind_of_broken_zip_is_refused_with_a_reason(how: str) -> None:
    kind, content, changes = BROKEN[how]
    with pytest.raises(BadPackage, match=r"can't be read as a zip \(.+\)") as refused:
        read_package(changed(content, changes), LIMITS)
    assert type(refused.value.__cause__) is kind


@pytest.mark.row("A2")
def test_all_that_is_caught_has_been_met() -> None:
    assert {kind for kind, _, _ in BROKEN.values()} == set(packages._BROKEN)


@pytest.mark.row("A2")
@pytest.mark.parametrize("method", [1, 12, 14, 99])
def test_a_method_that_is_not_taken_is_refused_before_zipfile_meets_it(method: int) -> None:
    content = changed(ONE, [(ONE_DIRECTORY + 10, 1, bytes([method]))])
    with pytest.raises(BadPackage, match="compressed in an unusual way") as refused:
        read_package(content, LIMITS)
    assert refused.value.__cause__ is None


@pytest.mark.row("A2")
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(ORDINARY)) | st.integers(DIRECTORY, len(ORDINARY)),
            st.integers(0, 9),
            st.binary(max_size=8) | st.sampled_from([b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"\xff" * 4]),
        ),
        min_size=1,
        max_size=6,
    )
)
@example([(DIRECTORY + 28, 6, NONE + NONE + SIXTEEN)])  # an entry without a name
@example([(DIRECTORY + 28, 4, FOUR + TWELVE), (DIRECTORY + 42, 20, AT_2_64)])
@example([(DIRECTORY + 6, 2, b"\xff\0")])  # a version of zip that there isn't
def test_a_zip_changed_anywhere_is_read_or_refused(changes: list[tuple[int, int, bytes]]) -> None:
    """Found by it: an entry without a name was a bare IndexError."""
    with suppress(BadPackage):
        assert read_package(changed(ORDINARY, changes), LIMITS)
