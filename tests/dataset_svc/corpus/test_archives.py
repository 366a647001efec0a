"""Every hostile archive gets exactly the report that it should, in bounded memory, and nothing is written."""

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset_svc.importing import ImportRequest, Report, import_archive, run_import
from tests.dataset_svc.archives.builder import read
from tests.dataset_svc.archives.makers import libarchive, tar
from tests.dataset_svc.corpus.annotations import BRAT, COCO, SINGLE
from tests.dataset_svc.corpus.annotations import Case as Files
from tests.dataset_svc.corpus.archives import CASES, Case, sevens
from tests.dataset_svc.corpus.test_annotations import check

MEMORY = 24 << 20
"""Bytes that reading any of them may need at once."""


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    libarchive()


def look(path: Path, case: Case) -> None:
    tracemalloc.start()
    seen = read(path / "a", case.content, case.limits)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    found = [*seen.findings, *([seen.refused] if seen.refused else [])]
    assert [(fault.code, fault.file) for fault in found] == case.faults, found
    assert all(fault.reason.endswith(".") for fault in found)
    assert peak < MEMORY
    assert [file.name for file in path.iterdir()] == ["a"]


@pytest.mark.row("D2")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_report_is_the_expected_one(tmp_path: Path, case: Case) -> None:
    look(tmp_path, case)


@pytest.mark.row("D2")
@pytest.mark.parametrize("number", range(6))
def test_seven_zip(tmp_path: Path, number: int) -> None:
    look(tmp_path, sevens()[number])


@pytest.mark.row("D2")
@pytest.mark.parametrize("name", ["tar, a symbolic link", "rar, out of its folder", "tar.gz, a bomb of empty blocks"])
async def test_through_the_child(tmp_path: Path, name: str) -> None:
    [case] = [case for case in CASES if case.name == name]
    (tmp_path / "a").write_bytes(case.content)
    result = await import_archive(ImportRequest(tmp_path / "a", tmp_path / "out", "dir", "text/classification"))
    assert (result.code, result.packed) == (case.faults[0][0], None)
    assert list((tmp_path / "out").iterdir()) == []


QUICK = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
SEEDS = [("json", COCO[0]), ("single_text", SINGLE[0]), ("single_text", SINGLE[6]), ("brat_ann", BRAT[2])]


@QUICK
@given(seed=st.sampled_from(SEEDS), data=st.data())
def test_annotations_broken_at_random_only_ever_give_a_report(seed: tuple[str, Files], data: st.DataObject) -> None:
    format, case = seed
    files = dict(case.files)
    for path in files:
        if not path.endswith(".png"):
            content = bytearray(files[path])
            for _ in range(data.draw(st.integers(0, 3))):
                at = data.draw(st.integers(0, len(content)))
                content[at : at + data.draw(st.integers(0, 4))] = data.draw(
                    st.binary(max_size=4) | st.sampled_from(TOKENS)
                )
            files[path] = bytes(content)
    step = data.draw(st.sampled_from([None, 5]))
    check(format, case._replace(files=files), step, whole_bytes=data.draw(st.sampled_from([10, 1 << 20])))


TOKENS = [
    b'"',
    b"[",
    b"{",
    b"null",
    b"-1",
    b"1e999",
    b"NaN",
    b"\\ud800",
    b"\t",
    b"\n",
    b"\xff",
    b"\0",
    b";",
    b"T1",
    b"9" * 40,
]


@QUICK
@given(
    content=st.binary(max_size=3000),
    magic=st.sampled_from(
        [
            b"",
            b"PK\3\4",
            b"\x1f\x8b\x08",
            b"\x28\xb5\x2f\xfd",
            b"7z\xbc\xaf\x27\x1c\0\4",
            b"Rar!\x1a\7\1\0",
            b"Rar!\x1a\7\0",
        ]
    ),
)
def test_noise_is_no_archive(tmp_path: Path, content: bytes, magic: bytes) -> None:
    assert read(tmp_path / "a", magic + content).codes


@QUICK
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda name: "\0" not in name), st.binary(max_size=20), max_size=6
    )
)
def test_whatever_the_names_are_what_comes_out_is_safe(tmp_path: Path, files: dict[str, bytes]) -> None:
    try:
        content = tar({f"d/{name}": data for name, data in files.items()})
    except UnicodeEncodeError:
        return
    (tmp_path / "a").write_bytes(content)
    report = run_import(tmp_path / "a", tmp_path / "out", format="dir", purpose="text/classification")
    assert isinstance(report, Report)
    for path in read(tmp_path / "a").files:
        assert not path.startswith("/")
        assert not {"", ".", ".."} & set(path.split("/"))
