"""Folders that are read while they are filled: whole shards or none, in order, also after a kill (issue 5, Staging)."""

import asyncio
import os
from pathlib import Path

import pytest

from common.files import LocalFiles
from common.kernel.errors import NotFound, Problem, Unavailable
from common.manifests import store_bytes, store_stream
from common.ports.staging import Split, StageRequest
from common.staging import LocalStaging

SHARDS = {f"data-{n:06d}.tar": os.urandom(5000) for n in range(6)}
CONTENT = {"classes.json": b"{}", **SHARDS}
DEADLINE = 120.0


class SlowFiles:
    """A store whose packs come only up to `until`; which were read is kept."""

    def __init__(self, files: LocalFiles) -> None:
        self.files = files
        self.until = len(CONTENT)
        self.came: list[int] = []
        self.away = False

    def __getattr__(self, name):
        return getattr(self.files, name)

    async def read(self, key, start=0, end=None):
        if "/pack-" not in key:
            return await self.files.read(key, start, end)
        number = int(key.rpartition("-")[2])
        while number >= self.until:
            if self.away:
                raise Unavailable("files_unavailable", "The store is away.")
            await asyncio.sleep(0.005)
        self.came.append(number)
        return await self.files.read(key, start, end)


@pytest.fixture
async def files(tmp_path):
    made = LocalFiles(tmp_path / "store", sync=False)
    yield SlowFiles(made)
    await made.close()


@pytest.fixture
async def open_staging(files, tmp_path):
    opened = []

    def make() -> LocalStaging:
        opened.append(LocalStaging(files, tmp_path / "cache", limit_bytes=1 << 30))
        return opened[-1]

    yield make
    for staging in opened:
        await staging.close()


@pytest.fixture
def staging(open_staging):
    return open_staging()


@pytest.fixture
async def request_(files):
    async def opened(data):
        yield data

    sources = [(path, len(data), lambda data=data: opened(data)) for path, data in CONTENT.items()]
    return StageRequest(await store_stream(files, "set", sources, pack_bytes=10), stream=True)


def content_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


async def whole(staging, request) -> None:
    async with asyncio.timeout(DEADLINE):
        while not await staging.carry_on(request):
            await asyncio.sleep(0.005)


async def until_there(path: Path) -> None:
    async with asyncio.timeout(DEADLINE):
        while not path.exists():
            await asyncio.sleep(0.005)


async def test_a_folder_is_given_with_its_first_shard_and_the_rest_comes_in_order(staging, files, request_):
    files.until = 2
    folder = await staging.stage(request_, workload="job-1.1")
    assert (folder / "shards.txt").read_text().split() == list(SHARDS)
    assert content_of(folder).keys() == {"shards.txt", "classes.json", "data-000000.tar"}
    assert not await staging.carry_on(request_)
    for number, name in enumerate(SHARDS):
        files.until = number + 2
        await until_there(folder / name)
        shown = {path: data for path, data in content_of(folder).items() if path in SHARDS}
        assert sorted(shown) == list(SHARDS)[: number + 1]
        assert all(SHARDS[path] == data for path, data in shown.items())
    await whole(staging, request_)
    assert content_of(folder) == CONTENT | {"shards.txt": "".join(f"{name}\n" for name in SHARDS).encode()}
    assert all(path.stat().st_mode & 0o222 == 0 for path in [folder, *folder.rglob("*")])


async def test_who_comes_later_needs_no_transfer_streaming_or_not(staging, files, request_):
    folder = await staging.stage(request_)
    await whole(staging, request_)
    came = list(files.came)
    assert await staging.stage(request_) == folder
    plain = await staging.stage(StageRequest(request_.manifest))
    assert content_of(plain) == CONTENT
    assert files.came == came
    assert (plain / "data-000000.tar").stat().st_ino == (folder / "data-000000.tar").stat().st_ino
    assert await staging.evict(0) > 0
    assert not folder.exists()
    assert not plain.exists()
    assert (await staging.stage(request_)).is_dir()


async def test_all_who_come_meanwhile_read_the_same_folder(staging, open_staging, files, request_):
    files.until = 2
    folder = await staging.stage(request_, workload="job-1.1")
    elsewhere = open_staging()
    assert await staging.stage(request_, workload="job-2.1") == folder == await elsewhere.stage(request_)
    waiting = asyncio.create_task(staging.stage(StageRequest(request_.manifest)))
    files.until = len(CONTENT)
    await whole(staging, request_)
    await whole(elsewhere, request_)
    assert content_of(await waiting) == CONTENT
    assert sorted(files.came) == list(range(len(CONTENT)))


async def test_validation_is_there_from_the_beginning(staging, files, request_):
    other = await store_bytes(files, {"v/1": b"x"}, "other")
    files.until = 2
    request = StageRequest(request_.manifest, validation=other, stream=True)
    folder = await staging.stage(request)
    assert content_of(folder / "val") == {"v/1": b"x"}
    assert (folder / "shards.txt").read_text().split() == [f"train/{name}" for name in SHARDS]
    files.until = len(CONTENT)
    await whole(staging, request)
    assert content_of(folder / "train") == CONTENT


async def test_a_damaged_shard_is_named_and_never_shown(staging, files, request_):
    good = await files.files.read("set/pack-4")
    await files.put("set/pack-4", b"x" * len(good))
    files.until = 2
    folder = await staging.stage(request_, workload="job-1.1")
    files.until = len(CONTENT)
    with pytest.raises(Problem) as told:
        await whole(staging, request_)
    assert told.value.code == "staging_failed"
    assert "data-000003.tar" in told.value.detail
    assert not (folder / "data-000003.tar").exists()
    await files.put("set/pack-4", good)
    assert await staging.stage(request_, workload="job-2.1") == folder
    await whole(staging, request_)
    assert (folder / "data-000003.tar").read_bytes() == SHARDS["data-000003.tar"]


async def test_a_store_that_goes_away_meanwhile_is_asked_again(staging, files, request_):
    files.until = 2
    await staging.stage(request_, workload="job-1.1")
    files.away = True
    async with asyncio.timeout(DEADLINE):
        while not staging._streams._feeds or not next(iter(staging._streams._feeds.values())).done():
            await asyncio.sleep(0.005)
    assert not await staging.carry_on(request_)
    files.away, files.until = False, len(CONTENT)
    await whole(staging, request_)


async def test_nobody_fills_on_for_a_job_that_has_ended(staging, files, request_):
    files.until = 2
    folder = await staging.stage(request_, workload="job-1.1")
    await staging.release("job-1.1")
    assert not folder.exists()
    with pytest.raises(NotFound):
        await staging.carry_on(request_)
    files.until = len(CONTENT)
    folder = await staging.stage(request_, workload="job-2.1")
    await whole(staging, request_)
    assert content_of(folder).keys() >= SHARDS.keys()


async def test_what_is_split_can_t_come_by_and_by(staging, request_):
    with pytest.raises(Problem) as refused:
        await staging.stage(StageRequest(request_.manifest, split=Split(0.5), stream=True))
    assert refused.value.code == "bad_request"


STAGING = """
    import asyncio, sys
    from pathlib import Path
    from common.contracts.shared import ManifestRef
    from common.files import LocalFiles
    from common.ports.staging import StageRequest
    from common.staging import LocalStaging

    class Slow:
        def __init__(self, files): self.files = files
        def __getattr__(self, name): return getattr(self.files, name)
        async def read(self, key, start=0, end=None):
            if "/pack-" in key and int(key.rpartition("-")[2]) >= 3:
                await asyncio.Event().wait()
            return await self.files.read(key, start, end)

    async def main():
        root = Path(sys.argv[1])
        request = StageRequest(ManifestRef.model_validate_json(sys.argv[2]), stream=True)
        staging = LocalStaging(Slow(LocalFiles(root / "store")), root / "cache", limit_bytes=1 << 30)
        folder = await staging.stage(request, workload="job-1.1")
        while not (folder / "data-000001.tar").exists():
            await asyncio.sleep(0.01)
        print(folder, flush=True)
        await asyncio.Event().wait()
    asyncio.run(main())
"""


async def test_after_a_kill_it_is_filled_on_from_where_it_was(open_staging, files, request_, tmp_path, child):
    builder = child(STAGING, tmp_path, request_.manifest.model_dump_json())
    folder = Path(builder.line())
    builder.kill()
    before = (folder / "data-000000.tar").stat().st_ino
    staging = open_staging()
    await whole(staging, request_)
    assert {path: data for path, data in content_of(folder).items() if path in CONTENT} == CONTENT
    assert sorted(files.came) == [3, 4, 5, 6], "what was there came not again"
    assert (folder / "data-000000.tar").stat().st_ino == before, "who reads it goes on reading it"
    assert content_of(await staging.stage(StageRequest(request_.manifest))) == CONTENT
    assert await staging.evict(0) == 0, "the job holds it still"
