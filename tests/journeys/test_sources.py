"""Data that lies elsewhere becomes a version by the `yard` command: from a bucket, from a shared folder (row D11)."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from common.files.s3 import S3Files
from common.kernel.ids import new_id
from tests.journeys.steps import EMBEDDED, PROCESSES, refused
from tests.servers.s3 import BUCKET, Rclone
from tests.support.cluster import Cluster
from tests.support.data import CLASSES, picture
from tests.support.process import PlatformProcess
from yard import Client

ON = (EMBEDDED, PROCESSES)
FILES = {f"{label}/{n}.png": picture(label, n) for label in CLASSES for n in range(4)}


class Yard:
    """The command, as alice."""

    def __init__(self, client: Client, home: Path) -> None:
        key = str(client.api_keys.create("yard")["key"])
        self.environment: dict[str, str] = {**os.environ} | {
            "HOME": str(home),
            "YARD_ADDRESS": client.address,
            "YARD_API_KEY": key,
        }

    def __call__(self, *words: str, given: str = "", code: int = 0, **environment: str) -> Any:
        ended = subprocess.run(
            [sys.executable, "-m", "yard", *words, "-o", "json"],
            env=self.environment | environment,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == code, ended.stderr
        return json.loads(ended.stdout) if ended.stdout else ended.stderr


@pytest.fixture(scope="module")
def yard(alice: Client, folder: Path) -> Yard:
    return Yard(alice, folder)


@pytest.fixture(scope="module")
def bucket(rclone: Rclone) -> str:
    """A prefix in a bucket, with the files below it."""
    prefix = new_id("src")

    async def put() -> None:
        files = S3Files(rclone.settings(f"{prefix}/"))
        for path, data in FILES.items():
            await files.put(path, data)
        await files.close()

    asyncio.run(put())
    return f"{prefix}/objects"


def dataset(client: Client, name: str) -> str:
    return str(client.datasets.create(name, purpose="image/classification")["id"])


@pytest.mark.row("D11")
def test_d11_a_bucket_becomes_a_version(
    platform: PlatformProcess | Cluster, alice: Client, bob: Client, yard: Yard, rclone: Rclone, bucket: str
) -> None:
    words = f"source create bucket --type s3 --endpoint-url http://127.0.0.1:{rclone.port} --bucket {BUCKET}".split()
    secrets = f"access_key_id={rclone.key}\nsecret_access_key=wrong\n"
    made = yard(*words, "--prefix", bucket, "--secrets-file", "-", given=secrets)
    assert made["credentials"] == ["access_key_id", "secret_access_key"]
    assert "source_refused" in yard("source", "check", "bucket", code=1)
    right: dict[str, Any] = {"YARD_SOURCE_ACCESS_KEY_ID": rclone.key, "YARD_SOURCE_SECRET_ACCESS_KEY": rclone.secret}
    yard("source", "credentials", "bucket", **right)
    assert len(yard("source", "check", "bucket", "--limit", "100")["files"]) == len(FILES)
    into = dataset(alice, "from a bucket")
    done = yard("source", "import", "bucket", into)
    assert (done["state"], done["version_number"]) == ("succeeded", 1)
    version = alice.datasets.version(into, 1)
    assert (version["files"], version["bytes"]) == (len(FILES), sum(map(len, FILES.values())))
    refused(lambda: bob.sources.show(made["id"]), 404, "source_not_found")
    refused(lambda: bob.sources.import_(made["id"], dataset(bob, "stolen")), 404, "source_not_found")
    assert rclone.secret not in json.dumps([yard("source", "list"), yard("source", "show", "bucket"), done])
    assert rclone.secret not in platform.log_end(10_000)
    yard("source", "delete", "bucket", "--yes")
    assert alice.datasets.version(into, 1) == version, "what was imported stays"


@pytest.mark.row("D11")
def test_d11_a_shared_folder_becomes_the_same_version(
    alice: Client, yard: Yard, outside: Mapping[str, str], folder: Path
) -> None:
    root = Path(json.loads(outside["YARD_SHARED_ROOTS"])["lab"])
    below = root / folder.name / "pets"
    for path, data in FILES.items():
        (below / path).parent.mkdir(parents=True, exist_ok=True)
        (below / path).write_bytes(data)
    yard("source", "create", "lab", "--type", "path", "--root", "lab", "--prefix", folder.name)
    into = dataset(alice, "from a folder")
    assert yard("source", "import", "lab", into, "--prefix", "pets")["state"] == "succeeded"
    [other] = [one for one in alice.datasets.list(100) if one["name"] == "from a bucket"]
    digests = {alice.datasets.version(id, 1)["digest"] for id in (into, other["id"])}
    assert len(digests) == 1
    assert yard("source", "import", "lab", into, "--prefix", "pets")["unchanged"]
    assert "import_failed" in yard("source", "import", "lab", into, "--prefix", "nowhere", code=1)


@pytest.mark.row("D11")
def test_d11_addresses_inside_the_platform_are_refused(yard: Yard, alice: Client) -> None:
    for address in ("http://169.254.169.254", "http://10.0.0.1"):
        connection = {"type": "s3", "endpoint_url": address, "bucket": "b"}
        made = alice.sources.create("inside", connection, {"access_key_id": "k", "secret_access_key": "s"})
        refused(partial(alice.sources.check, made["id"]), 422, "address_refused")
        alice.sources.delete(made["id"])
