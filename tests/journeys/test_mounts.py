"""What reaches a job besides a version: a shared path is bound, an S3 prefix comes as a copy (row D11), and a formatted
set may still arrive while the job reads it (row D9)."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from common.files.s3 import S3Files
from common.kernel.ids import new_id
from tests.journeys.steps import DOCKER, EMBEDDED, PATIENCE, PROCESSES, online_images, refused, succeeded, where
from tests.servers.s3 import BUCKET, Rclone
from tests.support.cluster import Cluster
from tests.support.data import packed
from tests.support.process import ENGINE, PlatformProcess
from yard import Client

ON = (EMBEDDED, PROCESSES, DOCKER)

TRAIN = """
import json, os
from pathlib import Path

mounts = Path(os.environ["MOUNT_DIR"])
told = {}
for name in ("lab", "bucket"):
    files = sorted(path for path in (mounts / name).rglob("*") if path.is_file())
    told[name] = {path.relative_to(mounts / name).as_posix(): path.read_text() for path in files}
    try:
        (mounts / name / "new").write_text("x")
        told[name]["new"] = "written"
    except OSError:
        pass
(mounts / "notes" / "from-the-job.txt").write_text("hello")
print(json.dumps(told, ensure_ascii=False, sort_keys=True), flush=True)
print(dict(os.environ), flush=True)
(Path(os.environ["RESULT_DIR"]) / "model.json").write_text("{}")
"""

STREAM = """
import os, tarfile, time
from pathlib import Path

data, samples = Path(os.environ["DATA_DIR"]), 0
shards = Path(os.environ["YARD_SHARDS"]).read_text().split()
for name in shards:
    while not (data / name).exists():
        time.sleep(0.2)
    with tarfile.open(data / name) as shard:
        samples += sum(one.name.endswith(".cls") for one in shard)
print(len(shards), "shards", samples, "samples", flush=True)
(Path(os.environ["RESULT_DIR"]) / "model.json").write_text("{}")
"""

LAB = {"a/1.txt": "one", "数据/2.txt": "two"}
BUCKET_FILES = {"x.txt": "from S3", "深/y.txt": "also"}


@pytest.fixture(scope="module")
def lying(shared: Path) -> Path:
    """What lies in the shared file systems."""
    for path, text in LAB.items():
        (shared / "lab" / "sub" / path).parent.mkdir(parents=True, exist_ok=True)
        (shared / "lab" / "sub" / path).write_text(text)
    for folder in (shared / "secret", shared / "notes" / "mine"):
        folder.mkdir(exist_ok=True)
    with suppress(FileExistsError):  # another round of journeys, by the same process
        (shared / "lab" / "out").symlink_to(shared / "secret")
    (shared / "notes" / "mine").chmod(0o777)
    return shared


@pytest.fixture(scope="module")
def things(alice: Client, folder: Path) -> dict[str, Any]:
    made = alice.algorithms.create(
        {
            "name": "reads mounts",
            "purpose": "image/classification",
            "formats": ["dir"],
            "training": {"engine": ENGINE, "command": ["python", "train.py"], "parameters": []},
        }
    )
    alice.algorithms.put_code(made["id"], "training", packed(folder / "code.zip", {"train.py": TRAIN.encode()}))
    alice.algorithms.online(made["id"])
    return {"algorithm_id": made["id"], "dataset_id": online_images(alice, folder)["id"]}


@pytest.mark.row("D9")
def test_d9_a_job_reads_the_shards_of_a_set_as_they_arrive(alice: Client, things: dict[str, Any], folder: Path) -> None:
    made = alice.algorithms.create(
        {
            "name": "reads shards",
            "purpose": "image/classification",
            "formats": ["webdataset"],
            "training": {"engine": ENGINE, "command": ["python", "train.py"], "parameters": []},
        }
    )
    alice.algorithms.put_code(made["id"], "training", packed(folder / "stream.zip", {"train.py": STREAM.encode()}))
    alice.algorithms.online(made["id"])
    ordered = alice.sets.create(things["dataset_id"], "webdataset")
    ready = alice.sets.wait(ordered["id"], timeout=PATIENCE)
    job = alice.jobs.create("streams", algorithm_id=made["id"], formatted_set_id=ready["id"], stream=True)
    words = alice.jobs.log(succeeded(alice, job)["id"])["text"].split()
    assert int(words[0]) > 1
    assert words[1:4] == ["shards", str(ready["records"]), "samples"]
    alice.sets.delete(ready["id"])  # others look at theirs on the same platform


def source(client: Client, name: str, connection: dict[str, Any], **credentials: str) -> str:
    body = {"name": name, "connection": connection, "credentials": credentials}
    return str(client.http.create("sources", body)["id"])


@pytest.fixture(scope="module")
def mounts(alice: Client, rclone: Rclone, lying: Path) -> list[dict[str, Any]]:
    prefix = new_id("src")

    async def put() -> None:
        files = S3Files(rclone.settings(f"{prefix}/"))
        for path, text in BUCKET_FILES.items():
            await files.put(path, text.encode())
        await files.close()

    asyncio.run(put())
    s3 = {"type": "s3", "endpoint_url": f"http://127.0.0.1:{rclone.port}", "bucket": BUCKET, "prefix": prefix}
    lab = source(alice, "mounted lab", {"type": "path", "root": "lab", "prefix": "sub"})
    notes = source(alice, "mounted notes", {"type": "path", "root": "notes"})
    bucket = source(alice, "mounted bucket", s3, access_key_id=rclone.key, secret_access_key=rclone.secret)
    return [
        {"source_id": lab, "at": "lab"},
        {"source_id": bucket, "at": "bucket", "path": "objects"},
        {"source_id": notes, "at": "notes", "path": "mine", "read_only": False},
    ]


@pytest.mark.row("D11")
def test_d11_a_job_finds_what_it_mounts_and_no_secret(
    alice: Client,
    things: dict[str, Any],
    mounts: list[dict[str, Any]],
    shared: Path,
    platform: PlatformProcess | Cluster,
    rclone: Rclone,
) -> None:
    for _ in range(2):
        job = succeeded(alice, alice.jobs.create("mounts", **things, mounts=mounts))
        text = alice.jobs.log(job["id"])["text"]
        assert json.loads(text.splitlines()[0]) == {"lab": LAB, "bucket": BUCKET_FILES}
        assert (shared / "notes" / "mine" / "from-the-job.txt").read_text() == "hello"
        assert [(one["at"], one["copied"], one["read_only"]) for one in job["mounts"]] == [
            ("lab", False, True),
            ("bucket", True, True),
            ("notes", False, False),
        ]
        (shared / "notes" / "mine" / "from-the-job.txt").unlink()
    assert rclone.secret not in text
    assert rclone.secret not in platform.log_end(10_000)
    assert rclone.secret.encode() not in b"".join(files_below(platform.home))


def files_below(home: Path) -> Iterator[bytes]:
    """The content of every file that is there, and not just now removed."""
    for folder, _, names in os.walk(home):
        for path in (Path(folder, name) for name in names):
            with suppress(FileNotFoundError):
                if path.is_file():
                    yield path.read_bytes()


@pytest.mark.row("D11")
def test_d11_what_can_t_be_mounted_is_refused_with_all_faults(
    alice: Client, bob: Client, things: dict[str, Any], mounts: list[dict[str, Any]]
) -> None:
    lab, bucket, notes = mounts
    wrong = [
        {**lab, "at": "../up", "read_only": False},
        {**bucket, "at": "dataset", "read_only": False},
        {**notes, "path": "../lab"},
        {**lab, "at": "notes"},
        {"source_id": new_id("src"), "at": "ghost"},
    ]
    told = refused(lambda: alice.jobs.create("wrong", **things, mounts=wrong), 422, "invalid_job")
    assert where(told) == {
        "mounts.0.at",
        "mounts.0.read_only",
        "mounts.1.at",
        "mounts.1.read_only",
        "mounts.2.path",
        "mounts.3.at",
        "mounts.4.source_id",
    }
    data = online_images(bob, Path(tempfile.gettempdir()))["id"]
    preset = next(bob.algorithms.each(visibility="preset", purpose="image/classification"))["id"]
    stolen = refused(
        lambda: bob.jobs.create("stolen", algorithm_id=preset, dataset_id=data, mounts=[lab]), 422, "invalid_job"
    )
    assert where(stolen) == {"mounts.0.source_id"}


@pytest.mark.row("D11")
def test_d11_a_link_that_leads_out_and_a_place_that_is_gone_end_the_job_with_the_reason(
    alice: Client, things: dict[str, Any], mounts: list[dict[str, Any]]
) -> None:
    lab = mounts[0]
    out = source(alice, "out", {"type": "path", "root": "lab"})
    for mount, words in (
        ({"source_id": out, "at": "out", "path": "out"}, "it is a link"),
        ({**lab, "path": "nowhere"}, "There is no folder sub/nowhere"),
    ):
        job = alice.jobs.wait(alice.jobs.create("gone", **things, mounts=[mount])["id"], timeout=PATIENCE)
        assert (job["state"], job["reason"]) == ("failed", "staging_failed")
        assert words in job["detail"]
