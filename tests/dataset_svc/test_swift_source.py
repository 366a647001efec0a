"""A container of a real OpenStack Swift becomes a version, by its own sign-in or by Keystone's (row D11, seed 003)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from common.files.s3 import S3Files
from common.kernel.ids import new_id
from tests.contracts.sources.test_sources import keystone
from tests.dataset_svc.conftest import Open
from tests.dataset_svc.test_sources import CANARY, FILES, brought
from tests.servers.s3 import BUCKET, Swift


@asynccontextmanager
async def signing_in(server: Swift, how: str) -> AsyncIterator[dict[str, str]]:
    """Where one signs in, as a connection says it."""
    if how == "v1":
        yield {"auth_url": f"http://127.0.0.1:{server.port}/auth/v1.0"}
        return
    async with keystone(server) as address:
        yield {"auth_url": address, "project_id": "p-1", "domain_name": "modelyard", "region": "dallas"}


async def lying(server: Swift) -> str:
    """The files are in the container; below which prefix."""
    prefix = new_id("src")
    files = S3Files(server.settings(f"{prefix}/"))
    for path, data in FILES.items():
        await files.put(path, data)
    await files.close()
    return f"{prefix}/objects"


@pytest.mark.row("D11", "D12")
@pytest.mark.parametrize(
    ("kind", "how"), [("swift", "v1"), ("bluemix_objectstore", "v1"), ("bluemix_objectstore", "v3")]
)
async def test_a_swift_container_is_imported_as_a_version(
    open_place: Open, swift: Swift, home: Path, kind: str, how: str
) -> None:
    prefix = await lying(swift)
    async with signing_in(swift, how) as place_of, open_place(source_networks=("127.0.0.0/8",)) as place:
        alice = place.desk()
        connection = {"type": kind, "container": BUCKET, "prefix": prefix, **place_of}
        wrong = {"user_name": swift.key, "password": CANARY}
        body: dict[str, Any] = {"name": "容器", "connection": connection, "credentials": wrong}
        source = await alice.ok("POST", "/sources", 201, json=body)
        assert (source["connection"]["type"], set(source["credentials"])) == (kind, set(wrong))
        at = f"/sources/{source['id']}"
        told = [source, await alice.refused("GET", f"{at}/files", 422, "source_refused")]
        dataset = await alice.create()
        told.append(await alice.ended(await brought(alice, dataset, source)))
        assert (told[-1]["state"], told[-1]["code"]) == ("failed", "source_refused")
        assert CANARY not in str(told)

        right = {"user_name": swift.key, "password": swift.secret}
        await alice.ok("PUT", f"{at}/credentials", json={"credentials": right})
        listed = await alice.ok("GET", f"{at}/files", params={"prefix": "dog"})
        assert [one["path"] for one in listed["items"]] == ["0.png", "1.png", "2.png"]
        done = await alice.ended(await brought(alice, dataset, source))
        assert done["state"] == "succeeded", done
        found = (await alice.ok("GET", f"/datasets/{dataset['id']}"))["current_version"]
        by_upload = (await alice.filled(FILES))["current_version"]
        assert (found["digest"], found["classes"]) == (by_upload["digest"], {"cat": 4, "dog": 3})
    stored = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert CANARY.encode() not in stored
