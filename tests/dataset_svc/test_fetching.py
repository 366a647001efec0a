"""How a source's files are fetched: some at once, in order, within bounds; and whose fault it is that one is away."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import pytest

from common.kernel.errors import Invalid, Unavailable
from common.sources import Found
from dataset_svc.domain.imports import Import
from dataset_svc.domain.sources import Source, SourceAway
from dataset_svc.domain.taxonomy import Part
from dataset_svc.reconcile import fetching
from dataset_svc.storage import SOURCES
from tests.dataset_svc.conftest import Open, Place

BIG = b"\x07" * (3 * fetching.WHOLE)


class Lying:
    """A source in memory. Its first `late` files are given only once that many were asked for."""

    def __init__(self, files: Mapping[str, bytes], late: int = 0, sizes: Mapping[str, int] | None = None) -> None:
        self._files, self._late, self._sizes = files, late, sizes or {}
        self._all_asked = asyncio.Event()
        self.asked: list[str] = []
        self.open = self.most = 0
        self.closed = False
        self.away: Unavailable | None = None

    async def files(self) -> AsyncGenerator[Found, None]:
        for path, data in self._files.items():
            yield Found(path, self._sizes.get(path, len(data)))

    async def read(self, path: str) -> AsyncGenerator[bytes, None]:
        self.asked.append(path)
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            if len(self.asked) >= self._late:
                self._all_asked.set()
            await self._all_asked.wait()
            if self.away is not None:
                raise self.away
            for start in range(0, len(self._files[path]), 1 << 18):
                yield self._files[path][start : start + (1 << 18)]
        finally:
            self.open -= 1

    async def close(self) -> None:
        self.closed = True


async def item_of(place: Place) -> Import:
    """An import from a source that is described, and of nothing else."""
    now = place.context.store.clock.now()
    async with place.context.store.work() as uow:
        await SOURCES.add(uow.connection, Source("src-1", "lab", "alice", {"type": "path", "root": "lab"}, now, now))
    return Import(
        "imp-1", "lab", "alice", "ds-1", Part.TRAIN, "", "datasets/ds-1/a", 0, "alice", now, now, source_id="src-1"
    )


async def fetched(place: Place, source: Lying, folder: Path, monkeypatch: pytest.MonkeyPatch) -> zipfile.ZipFile:
    """The archive of what lies there."""

    async def opened(*_: Any) -> Lying:
        return source

    monkeypatch.setattr(fetching, "opened", opened)
    item = await item_of(place)
    await fetching.fetch(place.context, item, folder, lambda _: None)
    return zipfile.ZipFile(io.BytesIO(await place.context.files.read(item.archive)))


@pytest.mark.row("D11")
async def test_several_files_come_at_once_and_stand_in_their_order(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{number:02}": b"%d" % number for number in range(40)} | {"big": BIG, "last": b"x"}
    source = Lying(files, late=fetching.AT_ONCE)
    archive = await fetched(place, source, tmp_path / "f", monkeypatch)
    assert archive.namelist() == list(files)
    assert {name: archive.read(name) for name in files} == files
    assert source.most <= fetching.AT_ONCE
    assert source.asked.count("big") == 1, "a large file is not read ahead"
    assert source.closed


@pytest.mark.row("D11")
async def test_a_file_that_has_grown_is_fetched_as_it_is(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Lying({"a": BIG, "b": b"x"}, sizes={"a": 1})
    archive = await fetched(place, source, tmp_path / "f", monkeypatch)
    assert archive.read("a") == BIG


@pytest.mark.row("D11")
async def test_a_source_that_gives_more_than_it_listed_is_stopped_at_the_limit(
    open_place: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Lying({"a": BIG, "b": b"x"}, sizes={"a": 1})
    async with open_place(unpacked_bytes=fetching.WHOLE) as place:
        with pytest.raises(Invalid) as beyond:
            await fetched(place, source, tmp_path / "f", monkeypatch)
    assert beyond.value.code == "too_many_bytes"
    assert (tmp_path / "f" / "fetched.zip").stat().st_size <= fetching.WHOLE + 1000
    assert source.closed
    assert not source.open


@pytest.mark.row("D11")
async def test_a_source_that_is_away_is_told_from_the_platform_s_own_store(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Lying({"a": b"1", "b": b"2"})
    source.away = Unavailable("source_unavailable", "it is away")
    with pytest.raises(SourceAway) as away:
        await fetched(place, source, tmp_path / "f", monkeypatch)
    assert (away.value.code, away.value.detail) == ("source_unavailable", "it is away")
    assert source.closed
    assert not source.open


@pytest.mark.row("D11")
async def test_a_host_that_nobody_knows_is_the_source_s_fault(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(*_: Any) -> Lying:
        raise Unavailable("unknown_host", "nowhere can't be looked up")

    monkeypatch.setattr(fetching, "opened", unknown)
    with pytest.raises(SourceAway) as away:
        await fetching.fetch(place.context, await item_of(place), tmp_path / "f", lambda _: None)
    assert away.value.code == "unknown_host"


@pytest.mark.row("D11")
async def test_the_platform_s_own_store_is_no_source(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> None:
        raise Unavailable("files_unavailable", "the file store is away")

    monkeypatch.setattr(place.context.files, "put_file", away)
    with pytest.raises(Unavailable) as own:
        await fetched(place, Lying({"a": b"1"}), tmp_path / "f", monkeypatch)
    assert not isinstance(own.value, SourceAway)


@pytest.mark.row("D11")
async def test_a_source_that_never_ends_is_given_up(
    open_place: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Lying({"a": b"1", "b": b"2"}, late=3)
    async with open_place(import_seconds=0.05) as place:
        with pytest.raises(Invalid, match=r"0\.05 seconds.*longer prefix") as slow:
            await fetched(place, source, tmp_path / "f", monkeypatch)
    assert slow.value.code == "too_slow"
    assert source.closed
    assert not source.open
