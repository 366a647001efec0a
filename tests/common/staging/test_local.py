"""LocalStaging where it is more than the port: one copy on disk, holds, limits, kills, full disks, other processes."""

import asyncio
import errno
import importlib
import os
import random
from array import array
from pathlib import Path

import pytest

from common.files import LocalFiles
from common.kernel.errors import Invalid, NotFound, Problem, StorageFull
from common.manifests import store_bytes
from common.ports.staging import Split, StageRequest
from common.staging import LocalStaging, shelf
from common.staging.samples import Rows, rows_entry, written

CONTENT = {f"{name}/{n}": f"{name}{n}".encode() * 50 for name in ("a", "b") for n in range(40)}


@pytest.fixture
async def files(tmp_path):
    made = LocalFiles(tmp_path / "store", sync=False)
    yield made
    await made.close()


@pytest.fixture
async def open_staging(files, tmp_path):
    opened = []

    def make(cache: Path | None = None, limit: int = 1 << 30) -> LocalStaging:
        opened.append(LocalStaging(files, cache or tmp_path / "cache", limit_bytes=limit))
        return opened[-1]

    yield make
    for staging in opened:
        await staging.close()


@pytest.fixture
def staging(open_staging):
    return open_staging()


@pytest.fixture
async def ref(files):
    return await store_bytes(files, CONTENT, "one")


def leftovers(cache):
    return [path.name for name in (".building", ".doomed") for path in (cache / name).iterdir()]


def visible(cache):
    return sorted(path.name for path in cache.iterdir() if not path.name.startswith("."))


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_a_split_is_on_disk_once(staging, ref):
    whole = await staging.stage(StageRequest(ref))
    halves = await staging.stage(StageRequest(ref, split=Split(0.5)))
    inodes = {path.stat().st_ino for path in whole.rglob("*") if path.is_file()}
    assert {path.stat().st_ino for path in halves.rglob("*") if path.is_file()} == inodes


@pytest.mark.row("D9")
@pytest.mark.parametrize(
    ("asked", "sides"),
    [({}, {"train"}), ({"split": Split(0.5)}, {"train", "test"}), ({"test": True}, {"train", "test"})],
)
async def test_validation_from_elsewhere_lies_beside(files, staging, ref, asked, sides):
    other = await store_bytes(files, {"a/other": b"x", "c/1": b"y"}, "other")
    if "test" in asked:
        asked = {"test": await store_bytes(files, {"a/t": b"t"}, "test")}
    folder = await staging.stage(StageRequest(ref, validation=other, **asked))
    assert {path.name for path in folder.iterdir()} == {*sides, "val"}
    assert content_of(folder / "val") == {"a/other": b"x", "c/1": b"y"}
    alone = await staging.stage(StageRequest(ref, **asked))
    mine = {path: data for path, data in content_of(folder).items() if not path.startswith("val/")}
    assert mine == (content_of(alone) if asked else {f"train/{path}": data for path, data in CONTENT.items()})
    assert alone != folder


async def test_what_validates_itself_is_on_disk_once(staging, ref):
    folder = await staging.stage(StageRequest(ref, validation=ref))
    assert content_of(folder / "val") == content_of(folder / "train") == CONTENT
    assert len({path.stat().st_ino for path in folder.rglob("*") if path.is_file()}) == len(CONTENT)


@pytest.mark.parametrize("reason", [errno.EXDEV, errno.EMLINK, errno.EPERM])
async def test_where_links_cant_be_files_are_copied(staging, ref, monkeypatch, reason):
    def refuse(*_, **__):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "link", refuse)
    folder = await staging.stage(StageRequest(ref, split=Split(0.5)))
    assert {path.split("/", 1)[1]: data for path, data in content_of(folder).items()} == CONTENT


async def test_nobody_lists_the_cache_but_its_owner(staging, ref, tmp_path):
    await staging.stage(StageRequest(ref))
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o711


async def test_what_is_held_is_not_evicted_until_it_is_released(staging, ref):
    folder = await staging.stage(StageRequest(ref, split=Split(0.9)), workload="job-1.1")
    await staging.hold(folder, "job-2.1")
    assert await staging.evict(0) == 0
    await staging.release("job-1.1")
    assert await staging.evict(0) == 0
    assert len(content_of(folder)) == len(CONTENT)
    await staging.release("job-2.1")
    await staging.release("job-2.1")
    assert await staging.evict(0) > 0
    assert not folder.exists()


async def test_a_hold_survives_a_restart(open_staging, ref):
    folder = await open_staging().stage(StageRequest(ref), workload="job-1.1")
    again = open_staging()
    assert await again.evict(0) == 0
    await again.release("job-1.1")
    assert await again.evict(0) > 0
    assert not folder.exists()


async def test_what_is_gone_cant_be_held(staging, ref, tmp_path):
    folder = await staging.stage(StageRequest(ref))
    await staging.evict(0)
    for path in (folder, tmp_path, tmp_path / "cache" / ".notes"):
        with pytest.raises(NotFound) as gone:
            await staging.hold(path, "job-1.1")
        assert gone.value.code == "not_staged"
    assert await staging.stage(StageRequest(ref)) == folder
    assert await staging.evict(0) > 0


@pytest.mark.parametrize("workload", ["", ".", "../x", "a/b", "a\0"])
async def test_a_workload_is_a_name(staging, ref, workload):
    for attempt in (staging.stage(StageRequest(ref), workload=workload), staging.release(workload)):
        with pytest.raises(Invalid) as refused:
            await attempt
        assert refused.value.code == "bad_workload"


async def test_the_longest_unused_goes_first_to_make_room(open_staging, files, tmp_path):
    refs = [await store_bytes(files, {"f": bytes([n]) * 100_000}, f"set-{n}") for n in range(4)]
    staging = open_staging(limit=350_000)
    folders = [await staging.stage(StageRequest(one)) for one in refs[:3]]
    for age, folder in enumerate(folders):
        os.utime(tmp_path / "cache" / ".notes" / folder.name, (1000 + age,) * 2)
    await staging.stage(StageRequest(refs[0]))
    await staging.stage(StageRequest(refs[3]))
    assert [folder.exists() for folder in folders] == [True, False, True]


async def test_what_does_not_fit_beside_what_is_held_is_refused(open_staging, files, ref):
    staging = open_staging(limit=500_000)
    await staging.stage(StageRequest(ref), workload="job-1.1")
    large = await store_bytes(files, {"f": b"x" * 400_000}, "large")
    with pytest.raises(StorageFull) as full:
        await staging.stage(StageRequest(large))
    assert full.value.code == "storage_full"
    await staging.release("job-1.1")
    assert (await staging.stage(StageRequest(large))).is_dir()


async def test_a_disk_that_is_too_small_is_told_before_anything_is_written(open_staging, files, small_disk):
    large = await store_bytes(files, {"small": b"1", "large": os.urandom(6_000_000)}, "large")
    disk = small_disk(2 << 20)
    staging = open_staging(disk / "cache")
    with pytest.raises(StorageFull) as full:
        await staging.stage(StageRequest(large), lambda _: pytest.fail("it began") if os.path.ismount(disk) else None)
    assert full.value.code == "storage_full"
    assert visible(disk / "cache") == leftovers(disk / "cache") == []


async def test_a_disk_that_fills_up_meanwhile_leaves_nothing_half_staged(open_staging, files, small_disk):
    large = await store_bytes(files, {"f": os.urandom(4_500_000)}, "large")
    disk = small_disk(4 << 20)
    ref = await store_bytes(files, {f"f{n}": os.urandom(9000) for n in range(200)}, "some")
    staging = open_staging(disk / "cache")
    ballast = disk / "ballast"

    class FillsTheDisk:
        def __getattr__(self, name):
            return getattr(files, name)

        async def read(self, key, start=0, end=None):
            data = await files.read(key, start, end)
            if "/pack-" in key and os.path.ismount(disk):
                ballast.write_bytes(b"b" * (3 << 20))
            return data

    staging._builder.files = FillsTheDisk()
    with pytest.raises(StorageFull):
        await staging.stage(StageRequest(ref if os.path.ismount(disk) else large))
    assert visible(disk / "cache") == leftovers(disk / "cache") == []
    ballast.unlink(missing_ok=True)
    staging._builder.files = files
    assert len(content_of(await staging.stage(StageRequest(ref)))) == 200


async def test_after_a_reboot_a_folder_is_built_again(open_staging, ref, tmp_path, monkeypatch):
    folder = await open_staging().stage(StageRequest(ref))
    split = await open_staging().stage(StageRequest(ref, split=Split(0.9)), workload="job-1.1")
    (tmp_path / "boot").write_text("another boot\n")
    monkeypatch.setattr(shelf, "_BOOT", tmp_path / "boot")
    folder.chmod(0o755)
    (folder / "a").chmod(0o755)
    (folder / "a" / "1").unlink()
    again = open_staging()
    assert content_of(await again.stage(StageRequest(ref))) == CONTENT
    assert split.is_dir(), "a workload holds it"


async def test_a_hostile_list_writes_nothing_outside(staging, files, tmp_path):
    monkey = pytest.MonkeyPatch()
    monkey.setattr(importlib.import_module("common.manifests.store"), "check_path", lambda _: None)
    bad = [
        await store_bytes(files, {path: b"x"}, f"bad-{n}") for n, path in enumerate(["../../evil", "/tmp/evil-file"])
    ]
    monkey.undo()
    for one in bad:
        with pytest.raises(Problem) as told:
            await staging.stage(StageRequest(one))
        assert told.value.code == "staging_failed"
    assert not list(tmp_path.rglob("evil"))
    assert not Path("/tmp/evil-file").exists()


STAGING = """
    import asyncio, sys
    from pathlib import Path
    from common.contracts.shared import ManifestRef
    from common.files import LocalFiles
    from common.ports.staging import Split, StageRequest
    from common.staging import LocalStaging

    class Watched:
        def __init__(self, files): self.files = files
        def __getattr__(self, name): return getattr(self.files, name)
        async def read(self, key, start=0, end=None):
            if "/pack-" in key:
                print("reading", flush=True)
            return await self.files.read(key, start, end)

    async def main():
        root = Path(sys.argv[1])
        ref = ManifestRef.model_validate_json(sys.argv[2])
        files = LocalFiles(root / "store")
        staging = LocalStaging(Watched(files), root / "cache", limit_bytes=1 << 30)
        print("begun", flush=True)
        await staging.stage(StageRequest(ref, split=Split(0.9)))
        print("done", flush=True)
        await staging.close()
        await files.close()
    asyncio.run(main())
"""


async def test_a_kill_while_staging_leaves_whole_folders_or_none(open_staging, files, tmp_path, child):
    content = {f"{n % 3}/{n}": os.urandom(2000) for n in range(4000)}
    ref = await store_bytes(files, content, "many")
    moments = random.Random(3)
    cache = tmp_path / "cache"
    for _ in range(4):
        builder = child(STAGING, tmp_path, ref.model_dump_json())
        assert builder.line() == "begun"
        await asyncio.sleep(moments.uniform(0, 0.5))
        builder.kill()
        for name in visible(cache):
            assert sum(1 for path in (cache / name).rglob("*") if path.is_file()) == len(content)
        staging = open_staging(cache)
        await staging._builder.sweep_once()
        assert leftovers(cache) == []
        await staging.evict(0 if moments.random() < 0.7 else 1 << 40)
    folder = await open_staging(cache).stage(StageRequest(ref, split=Split(0.9)))
    assert {path.split("/", 1)[1]: data for path, data in content_of(folder).items()} == content


async def test_processes_share_one_build(files, tmp_path, child):
    ref = await store_bytes(files, {f"{n % 3}/{n}": os.urandom(2000) for n in range(2000)}, "many")
    builders = [child(STAGING, tmp_path, ref.model_dump_json()) for _ in range(3)]
    outputs = await asyncio.gather(*(asyncio.to_thread(builder.process.communicate) for builder in builders))
    lines = [line for output, _ in outputs for line in output.splitlines()]
    assert lines.count("done") == 3
    assert lines.count("reading") == 1


async def test_staging_takes_memory_for_a_piece_and_not_for_the_set(files, tmp_path, child):
    content = {f"big-{n}": os.urandom(1 << 20) * 20 for n in range(6)}
    ref = await store_bytes(files, content, "large")
    measured = child(
        """
        import asyncio, resource, sys
        from pathlib import Path
        from common.contracts.shared import ManifestRef
        from common.files import LocalFiles
        from common.manifests import store_bytes
        from common.ports.staging import StageRequest
        from common.staging import LocalStaging

        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        async def main():
            files = LocalFiles(Path(sys.argv[1]) / "store", sync=False)
            staging = LocalStaging(files, Path(sys.argv[1]) / "cache", limit_bytes=1 << 30)
            await staging.stage(StageRequest(await store_bytes(files, {"warm": b"x" * (1 << 20)}, "warm")))
            before = peak()
            await staging.stage(StageRequest(ManifestRef.model_validate_json(sys.argv[2])))
            print(peak() - before, flush=True)
            await staging.close()
            await files.close()
        asyncio.run(main())
        """,
        tmp_path,
        ref.model_dump_json(),
    )
    assert int(measured.line()) < 32 * 1024, "kibibytes of growth for a set of 120 MiB"


async def test_who_asks_for_what_is_there_waits_for_no_other_who_does(staging, ref, tmp_path):
    folder = await staging.stage(StageRequest(ref))
    books = shelf.Shelf(tmp_path / "cache")
    other = books.try_lock(folder.name, shared=True)
    assert other is not None
    try:
        assert await staging.stage(StageRequest(ref), workload="job-1") == folder
        assert books.try_lock(folder.name) is None, "nobody drops it meanwhile"
    finally:
        os.close(other)
    assert books.held() == {folder.name}


@pytest.mark.row("D8")
async def test_what_is_parted_line_by_line_takes_room_of_its_own(files, open_staging, tmp_path):
    lines = [b"%06d\n" % number for number in range(20_000)]
    rows = Rows(array("I", range(1, 20_001)), array("I", [0] * 20_000), [["a"]])
    ref = await store_bytes(files, {"all.txt": b"".join(lines)}, "lines")
    noted = await store_bytes(files, {rows_entry("all.txt"): b"".join(written(rows))}, "noted")
    asked = StageRequest(ref, split=Split(0.5, annotations=noted))
    tight = open_staging(tmp_path / "tight", limit=ref.bytes + 50_000)
    with pytest.raises(StorageFull):
        await tight.stage(asked)
    assert leftovers(tmp_path / "tight") == []
    other = await store_bytes(files, {"v.txt": b"v" * ref.bytes}, "other")
    beside = open_staging(tmp_path / "beside", limit=2 * ref.bytes + 50_000)
    with pytest.raises(StorageFull):
        await beside.stage(StageRequest(ref, split=asked.split, validation=other))
    wide = open_staging(tmp_path / "wide", limit=2 * ref.bytes + 50_000)
    folder = await wide.stage(asked)
    assert sorted(b"".join(path.read_bytes() for path in folder.rglob("*.txt")).splitlines(keepends=True)) == lines
    assert await wide.evict(0) >= 2 * ref.bytes
    assert visible(tmp_path / "wide") == []
