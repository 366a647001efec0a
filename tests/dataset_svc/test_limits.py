"""Limits of archives, as an administrator sets them: each by its name in the environment, up to what an import says."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from dataset_svc.archives import Limits
from tests.dataset_svc.archives.builder import Item, build, read
from tests.dataset_svc.archives.makers import tar_gz
from tests.dataset_svc.conftest import TEXTS, Open
from tests.dataset_svc.test_sources import brought, described, lying

FILES: Mapping[str, bytes] = {f"{label}/{number}": b"x" * 1000 for label in "ab" for number in range(3)}
LARGE = 5 << 20
"""Bytes, of which every file together has more than ratios are looked at for."""


def noise(size: int) -> bytes:
    """Text that packs to little more than half."""
    return random.Random(1).randbytes(size // 2).hex().encode()


def zipped(files: Mapping[str, bytes]) -> bytes:
    return build([Item(path, data) for path, data in files.items()])


PLAIN = zipped(FILES)
HALVES = tar_gz({**FILES, "a/noise": noise(LARGE)})
"""Unpacks to not quite twice its size."""
ONE_DENSE = zipped({**FILES, "a/dense": noise(80_000) + b"0" * LARGE, "a/noise": noise(LARGE)})
"""Unpacks to four times its size; one of its files to a hundred times."""


@pytest.mark.row("D2")
@pytest.mark.parametrize(
    ("name", "value", "archive", "code", "file"),
    [
        ("ENTRIES", 5, PLAIN, "too_many_entries", ""),
        ("UNPACKED_BYTES", 5999, PLAIN, "too_many_bytes", ""),
        ("FILE_BYTES", 999, PLAIN, "file_too_large", "a/0"),
        ("DEPTH", 1, PLAIN, "path_too_deep", "a/0"),
        ("RATIO", 1.5, HALVES, "ratio_bomb", ""),
        ("RATIO", 10, ONE_DENSE, "ratio_bomb", "a/dense"),
    ],
)
async def test_an_archive_beyond_a_limit_is_refused_for_it(
    open_place: Open,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: float,
    archive: bytes,
    code: str,
    file: str,
) -> None:
    assert read(tmp_path / "a", archive, Limits()).codes == [], "without that limit nothing is wrong with it"
    monkeypatch.setenv(f"DATASET_{name}", str(value))
    async with open_place(part_bytes=16 << 20) as place:
        alice = place.desk()
        done = await alice.imported((await alice.create(purpose=TEXTS))["id"], archive)
    assert (done["state"], done["code"]) == ("failed", code), done
    assert done["report"]["faults"][0]["file"] == file


@pytest.mark.row("D2")
async def test_an_archive_at_every_limit_is_imported(open_place: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ENTRIES", 6), ("UNPACKED_BYTES", 6000), ("FILE_BYTES", 1000), ("DEPTH", 2)):
        monkeypatch.setenv(f"DATASET_{name}", str(value))
    async with open_place() as place:
        alice = place.desk()
        done = await alice.imported((await alice.create(purpose=TEXTS))["id"], PLAIN)
    assert done["state"] == "succeeded", done


@pytest.mark.row("D2", "D11")
@pytest.mark.parametrize(
    ("name", "most", "code"), [("ENTRIES", 6, "too_many_files"), ("UNPACKED_BYTES", 6000, "too_many_bytes")]
)
async def test_a_source_beyond_a_limit_is_refused_before_it_is_fetched(
    open_place: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, most: int, code: str
) -> None:
    lying(tmp_path / "lab", dict(FILES))
    monkeypatch.setenv(f"DATASET_{name}", str(most))
    async with open_place(shared_roots={"lab": tmp_path / "lab"}) as place:
        alice = place.desk()
        source = await described(alice, prefix="pets")
        dataset = await alice.create(purpose=TEXTS)
        done = await alice.ended(await brought(alice, dataset, source))
        assert done["state"] == "succeeded", done
        (tmp_path / "lab" / "pets" / "a" / "more").write_bytes(b"x")
        done = await alice.ended(await brought(alice, dataset, source))
        assert (done["state"], done["code"]) == ("failed", code), done
        assert done["reason"].startswith("The source has "), "its list was enough"
        assert (await alice.ok("GET", f"/datasets/{dataset['id']}"))["current_version"]["number"] == 1
