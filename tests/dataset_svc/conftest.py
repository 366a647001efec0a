"""A dataset-svc of its own for each test, on a temporary home, and the few steps that most tests need."""

from __future__ import annotations

import asyncio
import hashlib
import io
import zipfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx2
import pytest
from PIL import Image
from sqlalchemy import select

from common.db.tables import outbox
from common.kernel.events import CloudEvent
from dataset_svc.context import Context
from dataset_svc.service import build
from dataset_svc.settings import Settings
from tests.common.conftest import child, small_disk
from tests.support.platform import House, running

__all__ = ["child", "small_disk"]

DEADLINE_SECONDS = 180.0
IMAGES, TEXTS = "image/classification", "text/classification"
SMALL_PARTS = 1000


def png(red: int, size: tuple[int, int] = (8, 8)) -> bytes:
    """A small picture, another for each `red`."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (red % 256, 10, 200)).save(buffer, "PNG")
    return buffer.getvalue()


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return buffer.getvalue()


def pictures(cats: int = 3, dogs: int = 2, shade: int = 0) -> dict[str, bytes]:
    """A small dataset of images in format `dir`; another `shade` is other content."""
    named = {f"cat/{number}.png": png(number + shade) for number in range(cats)}
    return named | {f"dog/{number}.png": png(100 + number + shade) for number in range(dogs)}


@dataclass
class Desk:
    """What one person does with datasets, over HTTP."""

    house: House
    client: httpx2.AsyncClient

    async def create(self, **fields: Any) -> dict[str, Any]:
        body = {"name": "宠物", "purpose": IMAGES, **fields}
        return await self.ok("POST", "/datasets", 201, json=body)

    async def ok(self, method: str, path: str, status: int = 200, **how: Any) -> Any:
        answer = await self.client.request(method, path, **how)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def refused(self, method: str, path: str, status: int, code: str, **how: Any) -> dict[str, Any]:
        answer = await self.client.request(method, path, **how)
        assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        problem: dict[str, Any] = answer.json()
        return problem

    async def begin(self, dataset: str, content: bytes, part: str = "train", **more: Any) -> dict[str, Any]:
        body = {"part": part, "filename": "archive.zip", "size": len(content), **more}
        return await self.ok("POST", f"/datasets/{dataset}/uploads", 201, json=body)

    async def send(self, dataset: str, upload: Mapping[str, Any], content: bytes, numbers: Sequence[int] = ()) -> None:
        """Send these parts of `content`, or all."""
        size = upload["part_size"]
        for number in numbers or range(1, upload["part_count"] + 1):
            data = content[size * (number - 1) : size * number]
            headers = {"X-Content-SHA256": hashlib.sha256(data).hexdigest()}
            path = f"/datasets/{dataset}/uploads/{upload['id']}/parts/{number}"
            await self.ok("PUT", path, content=data, headers=headers)

    async def uploaded(self, dataset: str, content: bytes, part: str = "train") -> dict[str, Any]:
        """Upload and complete; gives the queued import."""
        upload = await self.begin(dataset, content, part)
        await self.send(dataset, upload, content)
        digest = hashlib.sha256(content).hexdigest()
        path = f"/datasets/{dataset}/uploads/{upload['id']}/complete"
        return await self.ok("POST", path, 202, json={"sha256": digest})

    async def ended(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Wait until an import has ended."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                found = await self.ok("GET", f"/datasets/{item['dataset_id']}/imports/{item['id']}")
                if found["state"] not in ("queued", "running"):
                    return found
                await asyncio.sleep(0.01)

    async def imported(self, dataset: str, content: bytes | Mapping[str, bytes], part: str = "train") -> dict[str, Any]:
        """Upload an archive and wait for the end of its import."""
        archive = content if isinstance(content, bytes) else zipped(content)
        return await self.ended(await self.uploaded(dataset, archive, part))

    async def filled(self, content: Mapping[str, bytes] | None = None, **fields: Any) -> dict[str, Any]:
        """A dataset with one version."""
        made = await self.create(**fields)
        done = await self.imported(made["id"], content or pictures())
        assert done["state"] == "succeeded", done
        return await self.ok("GET", f"/datasets/{made['id']}")

    async def online(self, **fields: Any) -> dict[str, Any]:
        """An online dataset with one version."""
        made = await self.filled(**fields)
        return await self.ok("POST", f"/datasets/{made['id']}/online")


@dataclass
class Place:
    """A running dataset-svc."""

    house: House

    @property
    def context(self) -> Context:
        context: Context = self.house.service("dataset-svc").app.state.context
        return context

    def desk(self, as_: str | None = "alice") -> Desk:
        return Desk(self.house, self.house.client("dataset-svc", as_))

    async def events(self, subject: str) -> list[CloudEvent]:
        """What was told of a subject, in order."""
        found = select(outbox.c.payload).where(outbox.c.subject == subject).order_by(outbox.c.id)
        async with self.context.store.reading() as connection:
            return [CloudEvent.model_validate_json(row) for row in (await connection.execute(found)).scalars()]

    async def told(self, subject: str) -> list[str]:
        return [event.type for event in await self.events(subject)]

    async def keys(self, prefix: str = "") -> list[str]:
        return [info.key async for info in self.context.files.list(prefix)]

    async def tidied(self, prefix: str, left: int = 0) -> None:
        """Wait until so many objects are left under a prefix."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(await self.keys(prefix)) > left:
                self.context.ring()
                await asyncio.sleep(0.01)

    async def swept(self) -> None:
        """Wait until no import has a scratch folder any more: tidying removes it after the objects."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while any(self.context.scratch.iterdir()):
                self.context.ring()
                await asyncio.sleep(0.01)


class Open(Protocol):
    def __call__(self, **settings: Any) -> AbstractAsyncContextManager[Place]: ...


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def open_place(home: Path) -> Open:
    """Runs a dataset-svc on the test's home with these settings; again, after a restart."""

    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncIterator[Place]:
        wanted = Settings(**{"part_bytes": SMALL_PARTS, **settings})
        async with running(home, [lambda platform: build(platform, wanted)]) as house:
            yield Place(house)

    return opened


@pytest.fixture
async def place(open_place: Open) -> AsyncIterator[Place]:
    async with open_place() as opened:
        yield opened


@pytest.fixture
def alice(place: Place) -> Desk:
    return place.desk("alice")


@pytest.fixture
def bob(place: Place) -> Desk:
    return place.desk("bob")


@pytest.fixture
def admin(place: Place) -> Desk:
    return place.desk("admin")
