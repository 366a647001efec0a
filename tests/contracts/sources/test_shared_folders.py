"""Shared file systems as people leave them: names from Chinese Windows, links, folders that nobody may enter."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from common.kernel.errors import Invalid, Unavailable
from common.sources import SharedPath, Source, open_source, shared
from tests.contracts.sources.test_sources import HERE, content

CAT = "狗图".encode("gb18030")
LONG = "狗图" * 50
"""Fits on a disk in GBK (200 bytes), not in UTF-8 (300)."""


async def opened(root: Path, prefix: str = "") -> Source:
    return await open_source(SharedPath(root="lab", prefix=prefix), {}, HERE, {"lab": root})


def put(root: Path, path: bytes, data: bytes) -> None:
    """Write a file whose name is just these bytes."""
    at = os.path.join(os.fsencode(root), path)
    os.makedirs(os.path.dirname(at), exist_ok=True)
    Path(os.fsdecode(at)).write_bytes(data)


@pytest.mark.row("D11")
async def test_names_in_gbk_are_read_as_those_of_a_zip_are(tmp_path: Path) -> None:
    put(tmp_path, "照片".encode() + b"/" + CAT + b"/" + "大图.png".encode("gb18030"), b"gbk")
    put(tmp_path, "照片/猪/大图.png".encode(), b"utf-8")
    files = {"照片/猪/大图.png": b"utf-8", "照片/狗图/大图.png": b"gbk"}
    assert await content(await opened(tmp_path)) == files
    assert await content(await opened(tmp_path, "照片/狗图")) == {"大图.png": b"gbk"}, "as it is listed, so it is found"


@pytest.mark.row("D11")
async def test_names_that_are_too_long_in_utf_8_are_read_in_gbk(tmp_path: Path) -> None:
    put(tmp_path, LONG.encode("gb18030") + b"/" + f"{LONG}.png".encode("gb18030"), b"gbk")
    assert await content(await opened(tmp_path)) == {f"{LONG}/{LONG}.png": b"gbk"}
    assert await content(await opened(tmp_path, LONG)) == {f"{LONG}.png": b"gbk"}


@pytest.mark.row("D11")
@pytest.mark.parametrize("prefix", ["//", "//a", "///a", "//a//"])
async def test_no_number_of_slashes_leads_out(tmp_path: Path, prefix: str) -> None:
    put(tmp_path, b"a/1", b"x")
    found = await content(await opened(tmp_path, prefix))
    assert found == ({"1": b"x"} if "a" in prefix else {"a/1": b"x"})


@pytest.mark.row("D11")
@pytest.mark.parametrize("prefix", ["//etc", "///etc", "/etc"])
async def test_a_folder_of_the_machine_is_none_of_the_root(tmp_path: Path, prefix: str) -> None:
    source = await opened(tmp_path, prefix)
    with pytest.raises(Invalid, match="There is no folder etc"):
        await content(source)


@pytest.mark.row("D11")
@pytest.mark.parametrize("part", ["/", "//", "/etc", "a/b", "", ".", ".."])
def test_what_is_no_name_is_not_entered(tmp_path: Path, part: str) -> None:
    put(tmp_path, b"a/b/1", b"x")
    with pytest.raises(Invalid, match="leads out") as refused:
        shared.enter(tmp_path, ["a", part])
    assert refused.value.code == "source_refused"


@pytest.mark.row("D11")
@pytest.mark.parametrize("path", ["//etc/passwd", "/etc/passwd", "../1"])
async def test_no_file_of_the_machine_is_read(tmp_path: Path, path: str) -> None:
    source = await opened(tmp_path)
    with pytest.raises(Invalid):
        _ = [chunk async for chunk in source.read(path)]


@pytest.mark.row("D11")
async def test_a_folder_with_too_many_names_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "MOST", 3)
    for number in range(4):
        put(tmp_path, f"a/{number}".encode(), b"x")
    with pytest.raises(Invalid, match=r"More than 3 .* a\.") as refused:
        await content(await opened(tmp_path))
    assert refused.value.code == "too_many_files"
    assert "Spread them over several folders" in refused.value.detail
    os.unlink(tmp_path / "a" / "0")
    assert len(await content(await opened(tmp_path))) == 3


@pytest.mark.row("D11")
async def test_a_disk_that_fails_names_the_file_or_the_top_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, b"1", b"x")
    _failing(monkeypatch, "stat")
    with pytest.raises(Unavailable, match=r"^1 can't be read: Input/output error"):
        await content(await opened(tmp_path))
    _failing(monkeypatch, "scandir")
    with pytest.raises(Unavailable, match=r"^The top folder can't be read: Input/output error"):
        await content(await opened(tmp_path))


def _failing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, name, fail)


@pytest.mark.row("D11")
@pytest.mark.parametrize("name", [b"\xff\xfe.png", b"a\x80.png"])
async def test_a_name_that_nobody_can_read_is_told(tmp_path: Path, name: bytes) -> None:
    put(tmp_path, b"cat/" + name, b"x")
    with pytest.raises(Invalid, match=r"cat/.*\\x(ff|80).*neither UTF-8 nor GBK") as refused:
        await content(await opened(tmp_path))
    assert refused.value.code == "source_refused"
    assert refused.value.detail.encode()


@pytest.mark.row("D11")
async def test_two_names_that_read_alike_are_told(tmp_path: Path) -> None:
    put(tmp_path, b"cat/" + CAT, b"1")
    put(tmp_path, "cat/狗图".encode(), b"2")
    with pytest.raises(Invalid, match=r"cat/狗图 .*twice") as refused:
        await content(await opened(tmp_path))
    assert refused.value.code == "source_refused"


@pytest.mark.row("D11")
async def test_a_folder_that_may_not_be_entered_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("a", "b/closed"):
        put(tmp_path, f"{folder}/1".encode(), b"x")
    _refusing(monkeypatch, b"closed", PermissionError(13, "Permission denied"))
    with pytest.raises(Invalid, match=r"b/closed.*Permission denied") as refused:
        await content(await opened(tmp_path))
    assert refused.value.code == "source_refused"


@pytest.mark.row("D11")
async def test_a_disk_that_fails_is_told() -> None:
    source = await opened(Path("/proc/self"))  # has a file that is a plain one, and can't be read from its beginning
    with pytest.raises(Unavailable, match="mem can't be read: Input/output error"):
        _ = [chunk async for chunk in source.read("mem")]


def _refusing(monkeypatch: pytest.MonkeyPatch, name: bytes, error: OSError) -> None:
    """Root may enter anything, so what others meet is played."""
    real: Callable[..., int] = os.open

    def open_(path: Any, *how: Any, **more: Any) -> int:
        if os.fsencode(path) == name:
            raise error
        return real(path, *how, **more)

    monkeypatch.setattr(os, "open", open_)


@pytest.mark.row("D11")
async def test_what_is_no_file_is_left_out_and_noted(tmp_path: Path) -> None:
    put(tmp_path, b"a/1", b"x")
    (tmp_path / "a" / "link").symlink_to("1")
    (tmp_path / "up").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with capture_logs() as logs:
        assert await content(await opened(tmp_path)) == {"a/1": b"x"}
    [noted] = logs
    assert (noted["log_level"], noted["entries"], noted["first"]) == ("warning", 3, "pipe")


@pytest.mark.row("D11")
async def test_who_looks_at_the_first_files_walks_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "BATCH", 2)
    for number in range(9):
        put(tmp_path, f"a/{number}".encode(), b"x")
        put(tmp_path, f"b{number}/1".encode(), b"x")
    looked: list[str] = []
    real = os.stat

    def stat(path: Any, **how: Any) -> os.stat_result:
        looked.append(path)
        return real(path, **how)

    monkeypatch.setattr(os, "stat", stat)
    found = (await opened(tmp_path)).files()
    assert (await anext(found)).path == "a/0"
    assert len(looked) <= 2
    rest = [one.path async for one in found]
    assert rest == [f"a/{number}" for number in range(1, 9)] + [f"b{number}/1" for number in range(9)]
