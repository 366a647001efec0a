"""What every staging must do. Adapters are listed in `ADAPTERS`; the tests don't know which one they run on.

An adapter is made from a file store and an empty folder. The store is one of this machine, or an S3 server's.
"""

import asyncio
import hashlib
import os
from array import array
from collections import Counter
from pathlib import Path

import orjson
import pytest

from common.files import LocalFiles
from common.files.s3 import S3Files
from common.kernel.errors import Invalid, Problem, Unavailable
from common.kernel.ids import new_id
from common.manifests import store_bytes, store_stream
from common.ports.staging import Listing, Split, StageProgress, StageRequest
from common.staging import LocalStaging, split
from common.staging.filling import AT_ONCE
from common.staging.samples import CLASSES, Rows, rows_entry, written


async def local(files, folder: Path) -> LocalStaging:
    return LocalStaging(files, folder / "cache", limit_bytes=1 << 30)


ADAPTERS = {"local": local}

CONTENT = {f"{name}/{n:03d}.txt": f"{name} {n}".encode() * n for name in ("cat", "dog") for n in range(30)}
CONTENT |= {"README": b"read me", "数据/深/层": b"deep", "empty": b""}
TEST = {"cat/t.txt": b"a test", "bird/t.txt": b"another"}


class CountingFiles:
    """A file store that counts what is read of it, and can be asked to wait or to be away."""

    def __init__(self, files: LocalFiles | S3Files) -> None:
        self.files = files
        self.reads = 0
        self.most = self._now = 0
        self.away = False
        self.reading = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    def __getattr__(self, name):
        return getattr(self.files, name)

    async def read(self, key, start=0, end=None):
        if "/pack-" in key:
            self.reads += 1
            self._now += 1
            self.most = max(self.most, self._now)
            self.reading.set()
            await self.go_on.wait()
            self._now -= 1
        if self.away:
            raise Unavailable("files_unavailable", "The store is away.")
        return await self.files.read(key, start, end)


@pytest.fixture(params=["local", "s3"])
async def files(request, tmp_path):
    made: LocalFiles | S3Files
    if request.param == "s3":
        made = S3Files(request.getfixturevalue("rclone").settings(f"{new_id('stage')}/"))
    else:
        made = LocalFiles(tmp_path / "store", sync=False)
    yield CountingFiles(made)
    await made.close()


@pytest.fixture(params=ADAPTERS)
async def staging(request, files, tmp_path):
    made = await ADAPTERS[request.param](files, tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def ref(files):
    return await store_bytes(files, CONTENT, "datasets/one")


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_a_folder_holds_the_files_and_is_read_only(staging, ref):
    folder = await staging.stage(StageRequest(ref))
    assert content_of(folder) == CONTENT
    for path in [folder, *folder.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o555 if path.is_dir() else 0o444), path
        assert path.stat().st_uid == os.geteuid()


async def test_no_files_are_an_empty_folder(staging, files):
    folder = await staging.stage(StageRequest(await store_bytes(files, {}, "none")))
    assert list(folder.iterdir()) == []


async def test_a_file_larger_than_a_piece_comes_whole(staging, files):
    content = {"a": b"1" * 10, "big": os.urandom(9 << 20), "z": b"2" * 10}
    folder = await staging.stage(StageRequest(await store_bytes(files, content, "big")))
    assert content_of(folder) == content


async def test_pieces_are_on_their_way_side_by_side_and_no_more_than_a_few(staging, files):
    content = {f"{n:02d}": os.urandom(20) for n in range(12)}
    opened = [(path, len(data), lambda data=data: _chunks(data)) for path, data in content.items()]
    ref = await store_stream(files, "packs", opened, pack_bytes=20)
    files.go_on.clear()
    filling = asyncio.create_task(staging.stage(StageRequest(ref)))
    async with asyncio.timeout(60):
        while files.most < AT_ONCE:
            await asyncio.sleep(0)
    files.go_on.set()
    assert content_of(await filling) == content
    assert (files.reads, files.most) == (12, AT_ONCE)


async def _chunks(data):
    yield data


async def test_a_store_that_is_away_is_no_damage_and_leaves_nothing(staging, files, ref):
    files.away = True
    with pytest.raises(Unavailable):
        await staging.stage(StageRequest(ref))
    files.away = False
    assert content_of(await staging.stage(StageRequest(ref))) == CONTENT


async def test_equal_content_is_staged_once(staging, files, ref):
    first = await staging.stage(StageRequest(ref))
    reads = files.reads
    other = await store_bytes(files, dict(reversed(CONTENT.items())), "elsewhere")
    assert await staging.stage(StageRequest(other)) == first == await staging.stage(StageRequest(ref))
    assert files.reads == reads


async def test_all_that_ask_at_once_share_one_build(staging, files, ref):
    files.go_on.clear()
    tasks = [asyncio.create_task(staging.stage(StageRequest(ref))) for _ in range(5)]
    await files.reading.wait()
    files.go_on.set()
    assert len(set(await asyncio.gather(*tasks))) == 1
    assert files.reads == 1


@pytest.mark.row("D8")
@pytest.mark.parametrize("rule", [Split(0.9), Split(0.5, seed=7), Split(0.8, stratify="none")])
async def test_a_split_is_the_one_of_the_rule_the_same_every_time(staging, ref, rule):
    folder = await staging.stage(StageRequest(ref, split=rule))
    train, test = split(CONTENT, rule)
    expected = {f"train/{path}": CONTENT[path] for path in train} | {f"test/{path}": CONTENT[path] for path in test}
    assert content_of(folder) == expected
    assert await staging.stage(StageRequest(ref, split=rule)) == folder
    for path in [folder, *folder.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o555 if path.is_dir() else 0o444), path


async def test_another_split_is_another_folder(staging, ref):
    rules = [None, Split(0.9), Split(0.8), Split(0.9, seed=1), Split(0.9, stratify="none")]
    assert len({await staging.stage(StageRequest(ref, split=rule)) for rule in rules}) == 5


@pytest.mark.row("D8")
async def test_an_independent_test_set_is_beside_the_rest(staging, files, ref):
    test = await store_bytes(files, TEST, "datasets/test")
    folder = await staging.stage(StageRequest(ref, test=test))
    expected = {f"train/{path}": data for path, data in CONTENT.items()}
    assert content_of(folder) == expected | {f"test/{path}": data for path, data in TEST.items()}


async def test_both_sides_are_there_though_one_is_empty(staging, files):
    one = await store_bytes(files, {"a/only": b"1"}, "one")
    folder = await staging.stage(StageRequest(one, split=Split(0.5)))
    assert sorted(path.name for path in folder.iterdir()) == ["test", "train"]
    assert content_of(folder) == {"train/a/only": b"1"}


@pytest.mark.parametrize("ratio", [0, 1, 1.5, float("nan")])
async def test_a_ratio_that_is_none_is_refused(staging, ref, ratio):
    with pytest.raises(Invalid) as refused:
        await staging.stage(StageRequest(ref, split=Split(ratio)))
    assert refused.value.code == "bad_ratio"


async def test_a_split_of_a_set_with_a_test_set_is_refused(staging, ref):
    with pytest.raises(Invalid) as refused:
        await staging.stage(StageRequest(ref, split=Split(0.9), test=ref))
    assert refused.value.code == "bad_request"


async def test_a_digest_that_is_none_is_refused(staging, ref):
    for digest in ("", "sha256:..", "../../x", "md5:" + "0" * 64):
        with pytest.raises(Invalid) as refused:
            await staging.stage(StageRequest(ref.model_copy(update={"digest": digest})))
        assert refused.value.code == "bad_digest"


async def test_damaged_bytes_are_not_staged_and_mended_ones_are(staging, files, ref):
    good = await files.files.read("datasets/one/pack-0")
    for bad in (good[:-1], good.replace(b"cat 7", b"cat 8"), b""):
        await files.put("datasets/one/pack-0", bad)
        for request in (StageRequest(ref), StageRequest(ref, split=Split(0.9))):
            with pytest.raises(Problem) as told:
                await staging.stage(request)
            assert told.value.code == "staging_failed"
            assert "cat/007.txt" in told.value.detail or bad != good.replace(b"cat 7", b"cat 8")
    await files.delete("datasets/one/pack-0")
    with pytest.raises(Problem) as told:
        await staging.stage(StageRequest(ref))
    assert told.value.code == "staging_failed"
    await files.put("datasets/one/pack-0", good)
    assert content_of(await staging.stage(StageRequest(ref))) == CONTENT


async def test_another_list_than_the_one_named_is_not_staged(staging, files, ref):
    wrong = ref.model_copy(update={"digest": "sha256:" + hashlib.sha256(b"other").hexdigest()})
    absent = ref.model_copy(update={"address": "nowhere/index", "digest": wrong.digest})
    for one in (wrong, absent):
        with pytest.raises(Problem) as told:
            await staging.stage(StageRequest(one))
        assert told.value.code == "staging_failed"


async def test_progress_grows_to_the_whole(staging, files, ref):
    test = await store_bytes(files, TEST, "datasets/test")
    for request in (StageRequest(ref, split=Split(0.9)), StageRequest(ref, test=test), StageRequest(ref)):
        told: list[StageProgress] = []
        await staging.stage(request, told.append)
        total = ref.bytes + (test.bytes if request.test else 0)
        assert told[-1] == StageProgress(total, total)
        assert {p.total for p in told} == {total}
        assert [p.done for p in told] == sorted(p.done for p in told)


async def test_who_is_cancelled_leaves_nothing_and_the_next_builds(staging, files, ref):
    files.go_on.clear()
    first = asyncio.create_task(staging.stage(StageRequest(ref)))
    await files.reading.wait()
    second = asyncio.create_task(staging.stage(StageRequest(ref)))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    files.go_on.set()
    assert content_of(await second) == CONTENT


async def test_what_is_evicted_is_gone_and_can_be_staged_again(staging, files, ref):
    folders = [await staging.stage(StageRequest(ref, split=rule)) for rule in (None, Split(0.9))]
    assert await staging.evict(1 << 40) == 0
    assert all(folder.exists() for folder in folders)
    assert await staging.evict(0) >= ref.bytes
    assert not any(folder.exists() for folder in folders)
    assert await staging.evict(0) == 0
    assert content_of(await staging.stage(StageRequest(ref))) == CONTENT


class Elsewhere:
    """Files that lie elsewhere, and how often they were read."""

    def __init__(self, content: dict[str, bytes]) -> None:
        self.content = content
        self.reads = 0

    def listing(self, place="src-1@1/data", **tags):
        return Listing(place, tuple((path, len(data), tags.get(path, "1")) for path, data in self.content.items()))

    async def read(self, path):
        self.reads += 1
        for start in range(0, len(self.content[path]), 1000):
            yield self.content[path][start : start + 1000]


@pytest.mark.row("D11")
async def test_what_lies_elsewhere_is_copied_once_as_it_was_listed(staging):
    elsewhere = Elsewhere(CONTENT | {"big": os.urandom(20_000)})
    told: list[StageProgress] = []
    folder = await staging.copy(elsewhere.listing(), elsewhere.read, told.append, workload="job-1.1")
    assert content_of(folder) == elsewhere.content
    assert told[-1] == StageProgress(elsewhere.listing().bytes, elsewhere.listing().bytes)
    assert all(path.stat().st_mode & 0o222 == 0 for path in [folder, *folder.rglob("*")])
    assert await staging.copy(elsewhere.listing(), elsewhere.read) == folder
    assert elsewhere.reads == len(elsewhere.content)
    elsewhere.content["README"] = b"changed"
    newer = await staging.copy(elsewhere.listing(README="2"), elsewhere.read)
    other = await staging.copy(elsewhere.listing("src-2@1/data", README="2"), elsewhere.read)
    assert len({folder, newer, other}) == 3
    assert await staging.evict(0) > 0
    assert [one.exists() for one in (folder, newer, other)] == [True, False, False], "a workload holds the first"


@pytest.mark.row("D11")
@pytest.mark.parametrize("content", [{"a/../../evil": b"x"}, {"/evil": b"x"}, {"a": b"x", "a/b": b"y"}])
async def test_names_that_lead_elsewhere_are_not_copied(staging, tmp_path, content):
    elsewhere = Elsewhere({"good": b"1", **content})
    with pytest.raises(Problem) as told:
        await staging.copy(elsewhere.listing(), elsewhere.read)
    assert told.value.code == "staging_failed"
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.row("D11")
async def test_a_file_that_was_changed_meanwhile_is_named(staging):
    elsewhere = Elsewhere(dict(CONTENT))
    listing = elsewhere.listing()
    elsewhere.content["cat/007.txt"] += b"more"
    with pytest.raises(Problem) as told:
        await staging.copy(listing, elsewhere.read)
    assert told.value.code == "staging_failed"
    assert "cat/007.txt" in told.value.detail


@pytest.mark.row("D8")
async def test_files_are_parted_by_what_is_annotated_in_them(staging, files):
    content = {f"p/{n:03d}.png": b"%d" % n for n in range(40)} | {"p/none.png": b"none"}
    kinds = {path: ["猫"] if n % 4 else ["rare", "猫"] for n, path in enumerate(sorted(content)[:40])}
    noted = b"".join(orjson.dumps(pair) + b"\n" for pair in kinds.items())
    annotations = await store_bytes(files, {CLASSES: noted}, "noted")
    ref = await store_bytes(files, content, "pictures")
    folder = await staging.stage(StageRequest(ref, split=Split(0.5, annotations=annotations)))
    found = content_of(folder)
    assert {path.partition("/")[2]: data for path, data in found.items()} == content
    tests = [path.removeprefix("test/") for path in found if path.startswith("test/")]
    assert Counter(kinds[path][0] for path in tests) == {"rare": 5, "猫": 15}


@pytest.mark.row("D8")
async def test_a_file_of_many_samples_is_parted_line_by_line(staging, files):
    lines = [b"text %d,%s\n" % (n, b"yes" if n % 5 else b"no") for n in range(50)]
    rows = Rows(array("I", range(2, 52)), array("I", [bool(n % 5) for n in range(50)]), [["no"], ["yes"]])
    content = {"all.csv": b"text,label\n" + b"".join(lines), "README": b"read me"}
    annotations = await store_bytes(files, {rows_entry("all.csv"): b"".join(written(rows))}, "noted")
    ref = await store_bytes(files, content, "table")
    other = await store_bytes(files, {"v.csv": b"text,label\n"}, "other")
    folder = await staging.stage(StageRequest(ref, split=Split(0.8, annotations=annotations), validation=other))
    assert (await staging.stage(StageRequest(ref, split=Split(0.8, seed=1, annotations=annotations)))) != folder
    train, test = [(folder / side / "all.csv").read_bytes().splitlines(keepends=True) for side in ("train", "test")]
    assert train[0] == test[0] == b"text,label\n"
    assert sorted(train[1:] + test[1:]) == sorted(lines)
    assert [sum(line.endswith(b"no\n") for line in side) for side in (train, test)] == [8, 2]
    assert len(test) == 11
    assert (folder / "val" / "v.csv").exists()
    for path in [folder, *folder.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o555 if path.is_dir() else 0o444), path
