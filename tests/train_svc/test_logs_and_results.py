"""Logs and results: live and afterwards the same bytes, whole or in parts, and never a surprise for a browser."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import manifests
from common.files.local import LocalFiles
from common.web.downloads import attachment
from tests.train_svc.conftest import Yard
from train_svc.api.downloads import zipped
from train_svc.logs import whole_characters


def events_of(text: str) -> list[tuple[str, str | None, dict]]:
    """What an event stream says: name, id, data."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], fields.get("id"), json.loads(fields["data"])))
    return found


@given(st.text(min_size=0, max_size=20), st.integers(0, 60))
def test_a_cut_never_divides_a_character(text: str, at: int) -> None:
    block = text.encode()[:at]
    whole = whole_characters(block)
    assert len(block) - whole <= 3
    assert text.startswith(block[:whole].decode())


@given(st.binary(max_size=12))
def test_bytes_that_are_no_text_do_not_wait_for_ever(block: bytes) -> None:
    assert len(block) - whole_characters(block) <= 3


@pytest.mark.row("T12")
async def test_the_log_is_read_live_by_offset_and_kept(yard: Yard) -> None:
    job = await yard.job()
    path = f"/jobs/{job['id']}/log"
    attempt = await yard.running(job["id"])
    assert (await yard.alice.get(path)).text == ""
    yard.runtime.says(attempt, "你好\n".encode())
    live = await yard.alice.get(path)
    assert (live.text, live.headers["x-next-offset"]) == ("你好\n", "7")
    yard.runtime.says(attempt, b"more\n")
    assert (await yard.alice.get(path, params={"offset": 7})).text == "more\n"
    yard.runtime.ends(attempt)
    await yard.until(job["id"], "succeeded")
    kept = await yard.alice.get(path, params={"offset": 7})
    assert (kept.text, kept.headers["x-next-offset"]) == ("more\n", "12")
    assert (await yard.alice.get(path, params={"offset": 12})).headers["x-next-offset"] == "12"
    beyond = await yard.alice.get(path, params={"offset": 99})
    assert (beyond.text, beyond.headers["x-next-offset"]) == ("", "99")
    saved = await yard.alice.get(path, params={"download": "true"})
    assert "attachment" in saved.headers["content-disposition"]
    assert saved.headers["x-content-type-options"] == "nosniff"


@pytest.mark.row("T12")
async def test_a_followed_log_loses_nothing_where_it_moves_to_the_file_store(yard: Yard) -> None:
    job = await yard.job()
    attempt = await yard.running(job["id"])
    yard.runtime.says(attempt, b"begin\n")
    following = asyncio.create_task(yard.alice.get(f"/jobs/{job['id']}/log/stream"))
    written = "begin\n"
    for number in range(20):
        line = f"第 {number} 行\n"
        halves = line.encode()[:2], line.encode()[2:]
        for half in halves:
            yard.runtime.says(attempt, half)
            await asyncio.sleep(0.005)
        written += line
    yard.runtime.ends(attempt, 3)
    answer = await following
    assert answer.headers["content-type"].startswith("text/event-stream")
    heard = events_of(answer.text)
    assert "".join(data["text"] for name, _, data in heard if name == "log") == written
    assert heard[-1][0] == "end"
    assert heard[-1][2]["state"] == "failed"
    ids = [int(at) for name, at, _ in heard if name == "log" and at]
    assert ids == sorted(ids)
    resumed = await yard.alice.get(f"/jobs/{job['id']}/log/stream", headers={"Last-Event-ID": str(ids[0])})
    rest = "".join(data["text"] for name, _, data in events_of(resumed.text) if name == "log")
    assert rest == written.encode()[ids[0] :].decode()


async def test_following_a_draft_is_refused_and_a_queued_one_waits(yard: Yard) -> None:
    draft = await yard.job(start=False)
    assert (await yard.get(f"/jobs/{draft['id']}/log/stream", 404))["code"] == "attempt_not_found"
    await yard.job(resources={"cpu": 8})
    queued = await yard.job(resources={"cpu": 8})
    following = asyncio.create_task(yard.alice.get(f"/jobs/{queued['id']}/log/stream"))
    await asyncio.sleep(0.05)
    assert not following.done()
    await yard.alice.post(f"/jobs/{queued['id']}/stop")
    assert events_of((await following).text) == [("end", "0", {"state": "stopped"})]


@pytest.mark.row("T17", "M3")
async def test_results_are_downloaded_one_by_one_and_as_a_zip(yard: Yard) -> None:
    job = await yard.job(name="数字 1/2")
    attempt = await yard.running(job["id"])
    files = {"model.bin": bytes(range(256)) * 300, "报告/说明.txt": "好".encode(), "empty": b""}
    yard.runtime.workloads[attempt].files["results"].update(files)
    yard.runtime.ends(attempt)
    model = (await yard.until(job["id"], "succeeded"))["model_id"]
    for base, one, all_of_them in (
        (f"/jobs/{job['id']}", "/results", "/results.zip"),
        (f"/models/{model}", "/files", "/files.zip"),
    ):
        listed = (await yard.get(base + one))["items"]
        assert {item["path"]: item["size"] for item in listed} == {path: len(c) for path, c in files.items()}
        first = await yard.get(f"{base}{one}?limit=2")
        rest = await yard.get(f"{base}{one}?limit=2&cursor={first['next_cursor']}")
        assert [*first["items"], *rest["items"]] == listed
        for path, content in files.items():
            answer = await yard.alice.get(f"{base}{one}/file", params={"path": path})
            assert answer.content == content
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-disposition"].startswith("attachment")
            assert answer.headers["content-type"] == "application/octet-stream"
        for wrong in ("nothing", "../model.bin", "报告"):
            assert (await yard.alice.get(f"{base}{one}/file", params={"path": wrong})).status_code == 404
        archive = zipfile.ZipFile(io.BytesIO((await yard.alice.get(base + all_of_them)).content))
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files


async def test_a_zip_is_made_as_it_is_sent(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    content = {f"{n}.bin": bytes([n]) * 3_000_000 for n in range(5)}
    ref = await manifests.store_bytes(files, content, "x")
    parts = [part async for part in zipped(files, ref)]
    assert max(map(len, parts)) < 3_000_000
    assert {n: len(zipfile.ZipFile(io.BytesIO(b"".join(parts))).read(n)) for n in content} == dict.fromkeys(
        content, 3_000_000
    )


@given(st.text(max_size=30))
def test_no_name_breaks_out_of_its_header(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    value = attachment(name)["Content-Disposition"]
    value.encode("latin-1")
    assert value.count('"') == 2
    assert not any(char in value for char in "\r\n")
