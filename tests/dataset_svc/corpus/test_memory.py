"""However large or hostile an archive is, reading it takes the same memory: that of the process as the system sees it,
since Python counts nothing of what libarchive takes for rar and 7z, nor of what unpacking needs."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from dataset_svc.archives import Limits
from tests.dataset_svc.archives.makers import MAKERS, libarchive
from tests.dataset_svc.archives.rars import NORMAL, RAR5, pack, rar_block, rar_file, vint
from tests.dataset_svc.corpus.archives import CASES, Case, sevens

MEMORY = 24 << 20
"""Bytes that reading all of them, one after the other, may need beyond what reading a small one of each kind did."""
SPACE = 64 << 20
"""Bytes of address space that may be asked for beyond that, as the child process has its limit."""
LARGE = 64 << 20
"""Bytes of a file in a large archive: more than either."""

READER = """
import json, resource, sys
from pathlib import Path

from dataset_svc.archives import ArchiveRefused, Limits, open_archive
from dataset_svc.importing.child import _peak_memory


def read(path, limits):
    codes, size = [], 0
    try:
        archive = open_archive(path, limits, report=lambda finding: codes.append(finding.code))
        for member in archive.members():
            size += sum(map(len, member.chunks()))
        archive.close()
    except ArchiveRefused as refused:
        codes.append(refused.finding.code)
    return codes, size


folder, space = Path(sys.argv[1]), int(sys.argv[2])
small, others = json.loads((folder / "todo").read_text())
for name, limits in small:
    assert read(folder / name, Limits(**limits)) == ([], 8)
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + space, taken + space))
before = _peak_memory()
for name, limits in others:
    print(json.dumps([name, *read(folder / name, Limits(**limits)), _peak_memory() - before]))
"""


def large(kind: str) -> bytes:
    """An archive of that kind with one large file."""
    return _blocks() if kind == "rar5" else MAKERS[kind]({"cat/1": bytes(LARGE)})


def _blocks() -> bytes:
    """A packed rar of many blocks, all of them alike."""
    last = pack(bytes(1 << 16))
    block = bytes([last[0] ^ 0x40, last[1] ^ 0x40]) + last[2:]
    packed = block * (LARGE // (1 << 16) - 1) + last
    file = rar_file("cat/1", bytes(LARGE), packed=packed, method=NORMAL)
    return RAR5 + rar_block(1, vint(0)) + file + rar_block(5, vint(0))


def greedy() -> Case:
    """A 7z that says that it needs a dictionary of 4 GiB."""
    content = bytearray(MAKERS["7z"]({"cat/1": b"meow" * 100}))
    behind, length = struct.unpack_from("<QQ", content, 12)
    at = 32 + behind
    coder = content.index(b"\x5d", at)
    content[coder + 1 : coder + 5] = b"\xff" * 4
    content[28:32] = zlib.crc32(content[at : at + length]).to_bytes(4, "little")
    content[8:12] = zlib.crc32(content[12:32]).to_bytes(4, "little")
    return Case("7z, of a huge dictionary", bytes(content), [("damaged", "")])


def cases() -> Iterator[Case]:
    """Large ones, which are right, and then all hostile ones."""
    generous = Limits(total_ratio=1e9, member_ratio=1e9)
    # a solid rar of one file is as any other
    yield from (Case(f"{kind}, large", large(kind), [], generous) for kind in MAKERS if kind != "rar5, solid")
    yield from (*CASES, *sevens(), greedy())


@pytest.mark.row("D2")
def test_no_archive_takes_more_memory_than_a_small_one(tmp_path: Path) -> None:
    libarchive()
    small = [(f"small-{number}", make({"a/1": b"meow", "b/1": b"woof"})) for number, make in enumerate(MAKERS.values())]
    expected = {f"{number}": case for number, case in enumerate(cases())}
    for name, content in (*small, *((name, case.content) for name, case in expected.items())):
        (tmp_path / name).write_bytes(content)
    todo = [
        [(name, asdict(Limits())) for name, _ in small],
        [(name, asdict(case.limits)) for name, case in expected.items()],
    ]
    (tmp_path / "todo").write_text(json.dumps(todo))
    command = [sys.executable, "-c", READER, str(tmp_path), str(SPACE)]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    for line in said.splitlines():
        name, codes, size, grown = json.loads(line)
        case = expected.pop(name)
        assert codes == [code for code, _ in case.faults], case.name
        assert case.faults or size == LARGE, case.name
        assert grown < MEMORY, case.name
    assert not expected
