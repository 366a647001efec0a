"""A large archive on its way in: cut off by a kill, continued, by parts, by links straight to the store, by TUS."""

from __future__ import annotations

import hashlib
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image
from tusclient.client import TusClient

from tests.dataset_svc.archives.makers import MAKERS, libarchive
from tests.journeys.steps import EMBEDDED, PATIENCE, PROCESSES, refused
from tests.support.cluster import Cluster
from tests.support.data import TOPICS, packed, text
from tests.support.process import Gate
from yard import Client, YardError

ON = (EMBEDDED, PROCESSES)

KILLED = """
import os, signal, sys
from yard import Client, parts, uploads

parts.AT_ONCE = 1  # so that it is known what had arrived
address, token, dataset, file, direct = sys.argv[1:]
begin = uploads._begin

def told(*arguments):
    found = begin(*arguments)
    print(found["id"], flush=True)
    return found

uploads._begin = told
with Client(address, token) as client:
    stop = lambda done, total: os.kill(os.getpid(), signal.SIGKILL)
    client.datasets.upload(dataset, file, direct=direct == "True", progress=stop)
"""


def picture() -> bytes:
    """Some five megabytes."""
    written = io.BytesIO()
    Image.frombytes("RGB", (1500, 1200), os.urandom(3 * 1500 * 1200)).save(written, "BMP")
    return written.getvalue()


@pytest.fixture(scope="module")
def archive(folder: Path) -> Path:
    """Of three parts."""
    return packed(folder / "large.zip", {f"{label}/{n}.bmp": picture() for label in ("猫", "狗") for n in range(4)})


def token(client: Client) -> str:
    return str(client.api_keys.create("upload")["key"])


@pytest.mark.row("D2")
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "through"])
def test_d2_an_upload_goes_on_where_a_killed_client_stopped(
    platform: Gate, alice: Client, archive: Path, direct: bool
) -> None:
    dataset = alice.datasets.create("animals", purpose="image/classification")["id"]
    words = [alice.address, token(alice), dataset, str(archive), str(direct)]
    ended = subprocess.run([sys.executable, "-c", KILLED, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    upload = f"datasets/{dataset}/uploads/{ended.stdout.split()[0]}"
    before = alice.http.get(upload)
    assert before["direct"] == (direct and isinstance(platform, Cluster)), "plain files take no links"
    assert before["parts"] == [1]
    phases = set[str]()
    lines = list[str]()
    begun = alice.datasets.upload(dataset, archive, direct=direct, say=lines.append)
    assert [line for line in lines if "no links" not in line] == []
    done = alice.datasets.wait_import(
        dataset, begun["id"], progress=lambda seen: phases.add(seen["phase"]), timeout=PATIENCE
    )
    assert alice.http.get(upload)["import_id"] == begun["id"], "the same upload, not another"
    assert phases <= {
        "queued",
        "running",
        "fetching",
        "checking",
        "importing",
        "indexing",
        "storing",
        "waiting",
        "done",
    }
    version = alice.datasets.version(dataset, 1)
    assert (done["version_number"], version["files"], version["classes"]) == (1, 8, {"狗": 4, "猫": 4})
    link = alice.http.get(f"datasets/{dataset}/samples/file", {"path": "狗/3.bmp", "link": True})
    assert link["direct"] == isinstance(platform, Cluster)
    if link["direct"]:
        found = httpx2.get(link["url"], headers=link["headers"], trust_env=False, timeout=60)
        assert hashlib.sha256(found.content).hexdigest() == link["sha256"], "by a link, and nobody asked who"


@pytest.mark.row("D2")
def test_d2_a_stock_tus_client_goes_on_too(alice: Client, archive: Path) -> None:
    dataset = alice.datasets.create("by TUS", purpose="image/classification")["id"]
    client = TusClient(f"{alice.address}/api/v1/datasets/{dataset}/tus", {"Authorization": f"Bearer {token(alice)}"})
    with archive.open("rb") as stream:
        first = client.uploader(
            file_stream=stream, chunk_size=7_000_000, retries=10, metadata={"filename": archive.name}
        )
        first.upload_chunk()
        first.upload_chunk()
        again = client.uploader(file_stream=stream, chunk_size=9_000_000, retries=10, url=first.url)
        assert again.offset == 14_000_000
        again.upload()
    [begun] = alice.datasets.imports(dataset)
    alice.datasets.wait_import(dataset, begun["id"], timeout=PATIENCE)
    assert alice.datasets.version(dataset, 1)["files"] == 8


@pytest.mark.row("D2", "D12")
def test_d2_the_same_files_are_one_version_whatever_they_are_packed_with(alice: Client, folder: Path) -> None:
    """By what is in it, and not by its name, an archive is known for what it is."""
    libarchive()
    files = {f"{topic}/{n}.txt": text(topic, n).encode() for topic in TOPICS for n in range(3)}
    dataset = alice.datasets.create("packed", purpose="text/classification")["id"]
    begun = {}
    for kind, make in MAKERS.items():
        (folder / "packed").write_bytes(make(files))
        begun[kind] = alice.datasets.upload(dataset, folder / "packed")["id"]
    ended = {kind: alice.datasets.wait_import(dataset, item, timeout=PATIENCE) for kind, item in begun.items()}
    assert {kind: (one["version_number"], one["unchanged"]) for kind, one in ended.items()} == {
        kind: (1, kind != "zip") for kind in MAKERS
    }
    [version] = alice.datasets.versions(dataset)
    assert version["classes"] == dict.fromkeys(TOPICS, 3)
    assert {path: alice.datasets.sample(dataset, path) for path in files} == files


@pytest.mark.row("D2")
def test_d2_what_is_cut_off_is_told_and_the_version_stays(alice: Client, archive: Path, folder: Path) -> None:
    """Half a zip, sent straight to the store where there is one: the file and the reason are named."""
    dataset = alice.datasets.create("half", purpose="image/classification")["id"]
    alice.datasets.import_(dataset, archive, timeout=PATIENCE)
    before = alice.datasets.show(dataset)["current_version"]
    half = folder / "half.zip"
    half.write_bytes(archive.read_bytes()[: 20 << 20])
    with pytest.raises(YardError, match="import_failed"):
        alice.datasets.import_(dataset, half, timeout=PATIENCE)
    assert alice.datasets.show(dataset)["current_version"] == before
    [failed, _] = alice.datasets.imports(dataset)
    assert (failed["report"] or {})["faults"]


GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "uploads.md").read_text()


@pytest.mark.row("D2")
@pytest.mark.parametrize("number", [0, 1], ids=["tus", "parts"])
def test_d2_the_examples_of_the_guide_upload(alice: Client, archive: Path, tmp_path: Path, number: int) -> None:
    example = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.M | re.S)[number]
    dataset = alice.datasets.create("by the guide", purpose="image/classification")["id"]
    (tmp_path / "pets.zip").symlink_to(archive)
    settings = {"YARD_ADDRESS": alice.address, "YARD_API_KEY": token(alice), "DATASET": dataset}
    subprocess.run([sys.executable, "-c", example], cwd=tmp_path, env={**os.environ, **settings}, check=True)
    [begun] = alice.datasets.imports(dataset)
    alice.datasets.wait_import(dataset, begun["id"], timeout=PATIENCE)
    assert alice.datasets.version(dataset, 1)["files"] == 8


@pytest.mark.row("D2")
def test_d2_others_can_neither_send_nor_ask(bob: Client, alice: Client, archive: Path) -> None:
    dataset = alice.datasets.create("private", purpose="image/classification")["id"]
    wanted: dict[str, Any] = {"filename": "a.zip", "size": archive.stat().st_size, "direct": True}
    upload = alice.http.create(f"datasets/{dataset}/uploads", wanted)
    at = f"datasets/{dataset}/uploads/{upload['id']}"
    refused(lambda: bob.http.get(at), 404, "dataset_not_found")
    refused(lambda: bob.http.act(f"{at}/links", {"numbers": [1]}), 404, "dataset_not_found")
    alice.http.delete(at)
