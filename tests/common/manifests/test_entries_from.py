"""Lists that begin anywhere: what a page of samples is read with."""

import bisect

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.files import LocalFiles
from common.manifests import entries_at, entries_from, find_many, places, store_bytes

PATHS = sorted(
    f"class-{label:02d}/{'x' * (number % 90)}{number:05d}.png" for label in range(10) for number in range(400)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@pytest.mark.row("D5")
@settings(max_examples=60)
@given(start=st.one_of(st.sampled_from(PATHS), st.text(max_size=20), st.just("class-05/"), st.just("class-05/x")))
async def test_a_list_begins_at_the_first_path_that_is_not_before(folder, start):
    files = LocalFiles(folder, sync=False)
    try:
        ref = await store_bytes(files, dict.fromkeys(PATHS, b"x"), "many")
        assert (await files.stat(ref.address)).size > 3 * (1 << 16), "large enough for a search"
        found = [entry.path async for entry in entries_from(files, ref, start)]
        assert found == PATHS[bisect.bisect_left(PATHS, start) :]
    finally:
        await files.close()


class Remote(LocalFiles):
    """A store whose objects are no files of this machine."""

    def local_path(self, key):
        return None


@pytest.mark.row("D5")
@pytest.mark.parametrize("kind", [LocalFiles, Remote])
async def test_many_files_are_found_at_once_wherever_the_index_lies(folder, kind):
    files = kind(folder, sync=False)
    try:
        ref = await store_bytes(files, dict.fromkeys(PATHS, b"x"), "many")
        wanted = [PATHS[0], "not there", *PATHS[1000:1100:7], PATHS[-1], "", "\U0010ffff"]
        found = await find_many(files, ref, wanted)
        assert [entry and entry.path for entry in found] == [path if path in PATHS else None for path in wanted]
        begin = await places(files, ref, [PATHS[70], PATHS[71], PATHS[73], "\U0010ffff"])
        assert begin[3] == (await files.stat(ref.address)).size
        spans = [(begin[0], begin[1]), (begin[1], begin[2])]
        assert [entry.path for entry in await entries_at(files, ref, spans)] == PATHS[70:73]
    finally:
        await files.close()


async def test_paths_as_long_as_they_may_be_are_found(folder):
    long = sorted([f"{'/'.join(['猫' * 80] * 8)}/{number}" for number in range(60)] + [f"a/{n}" for n in range(600)])
    files = LocalFiles(folder, sync=False)
    try:
        ref = await store_bytes(files, dict.fromkeys(long, b"x"), "long")
        assert [entry and entry.path for entry in await find_many(files, ref, long)] == long
        assert await find_many(files, ref, [path + "." for path in long]) == [None] * len(long)
    finally:
        await files.close()
