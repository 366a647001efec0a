"""Files that can be made again are made once, shared, and go where there are too many."""

import asyncio
import os
from pathlib import Path

import pytest

from dataset_svc.looking.cache import NodeCache


class Maker:
    """Writes so many bytes, and counts."""

    def __init__(self, size: int = 10) -> None:
        self.made, self.size = 0, size

    async def __call__(self, path: Path) -> None:
        self.made += 1
        await asyncio.sleep(0)
        path.write_bytes(b"x" * self.size)


async def kept(cache: NodeCache, key: str, make: Maker) -> bytes:
    with await cache.open(key, make) as file:
        return file.read()


async def test_a_file_is_made_once_for_all_who_ask(tmp_path: Path) -> None:
    cache, make = NodeCache(tmp_path / "cache", 1000), Maker()
    found = await asyncio.gather(*(kept(cache, "a", make) for _ in range(5)))
    assert found == [b"x" * 10] * 5
    assert make.made == 1
    assert await kept(NodeCache(tmp_path / "cache", 1000), "a", make) == b"x" * 10
    assert make.made == 1, "another process, or the next one, finds it"


@pytest.mark.row("D5")
async def test_what_was_used_longest_ago_goes(tmp_path: Path) -> None:
    cache, make = NodeCache(tmp_path, 100), Maker(30)
    for age, key in ((30, "a"), (20, "b"), (10, "c")):
        await kept(cache, key, make)
        then = os.stat(tmp_path / key).st_mtime - age
        os.utime(tmp_path / key, (then, then))
    await kept(cache, "a", make)
    await kept(cache, "d", make)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "d"]
    large = Maker(500)
    assert len(await kept(cache, "e", large)) == 500
    assert [path.name for path in tmp_path.iterdir()] == ["e"], "one that is too large alone is there while it is used"


async def test_what_can_not_be_made_leaves_nothing(tmp_path: Path) -> None:
    async def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise ValueError("no")

    cache = NodeCache(tmp_path, 100)
    with pytest.raises(ValueError, match="no"):
        await cache.open("a", fail)
    assert list(tmp_path.iterdir()) == []
    assert await kept(cache, "a", Maker()) == b"x" * 10
