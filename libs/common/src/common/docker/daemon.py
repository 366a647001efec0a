"""One Docker engine and how it is asked."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import aiodocker
import aiohttp

from common.kernel.errors import Invalid, Unavailable

T = TypeVar("T")

DEFAULT_URL = "unix:///var/run/docker.sock"
PATIENCE = 15.0
"""Seconds that an answer may take. An engine that hangs is no engine that said no."""
_UNREACHABLE = 900
"""What aiodocker calls the status of an engine that doesn't listen."""


class Refused(Exception):
    """The engine understood and said no: the HTTP `status` and its own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{message.strip()} ({status})")
        self.status, self.message = status, message.strip()


def engine_url(setting: str) -> str:
    """The engine's address from a setting such as `docker:`, `docker:unix:///run/docker.sock`, `docker:tcp://…`.

    Raises Invalid (`bad_runtime`)."""
    kind, _, url = setting.partition(":")
    if kind != "docker" or (url and not url.startswith(("unix:///", "tcp://", "http://", "https://"))):
        raise Invalid("bad_runtime", f"{setting!r} names no Docker engine; write 'docker:' or 'docker:unix:///path'.")
    return url or DEFAULT_URL


class Daemon:
    """A Docker engine at an address. Opened by the first question; after `close` the next one opens it again."""

    def __init__(self, url: str = DEFAULT_URL, *, patience: float = PATIENCE) -> None:
        self.url = url
        self.patience = patience
        self._client: aiodocker.Docker | None = None

    async def ask(self, question: Callable[[aiodocker.Docker], Awaitable[T]], seconds: float | None = None) -> T:
        """Ask and give the answer. Raises Refused, and Unavailable (`docker_unreachable`) after `seconds`."""
        try:
            async with asyncio.timeout(seconds or self.patience):
                return await question(self._open())
        except aiodocker.DockerError as error:
            if error.status == _UNREACHABLE:
                raise self._unreachable(error.message) from error
            raise Refused(error.status, error.message) from error
        except TimeoutError as error:
            raise self._unreachable("it doesn't answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(str(error)) from error

    async def find(self, question: Callable[[aiodocker.Docker], Awaitable[T]]) -> T | None:
        """As `ask`, but None where there is no such thing."""
        try:
            return await self.ask(question)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    async def container(self, name: str) -> dict[str, Any] | None:
        """All that the engine knows of a container, or None where there is none of that name."""
        return await self.find(lambda docker: docker.containers.container(name).show())

    async def image(self, reference: str) -> dict[str, Any] | None:
        """All that the engine knows of an image, or None where it has none of that name."""
        return await self.find(lambda docker: docker.images.inspect(reference))

    async def create(self, name: str, config: Mapping[str, Any]) -> bool:
        """Make a container; False where one of that name is there already."""
        try:
            await self.ask(lambda docker: docker.containers.create(dict(config), name=name), 60)
        except Refused as refused:
            if refused.status == 409:
                return False
            raise
        return True

    async def start(self, name: str) -> None:
        """Start a container; one that runs goes on."""
        await self.ask(lambda docker: docker.containers.container(name).start(), 60)

    async def signal(self, name: str, signal: str) -> bool:
        """Signal a container's first process; False where it doesn't run."""
        try:
            await self.ask(lambda docker: docker.containers.container(name).kill(signal=signal))
        except Refused as refused:
            if refused.status in (404, 409):
                return False
            raise
        return True

    async def delete(self, name: str) -> None:
        """Remove a container with its own volumes, running or not; nothing where there is none."""
        try:
            await self.ask(lambda docker: docker.containers.container(name).delete(force=True, v=True), 60)
        except Refused as refused:
            if refused.status not in (404, 409):  # 409: it is being removed
                raise

    async def give(self, name: str, place: str, tar: bytes) -> None:
        """Unpack a tar in a folder of a container, also in a volume of one that doesn't run yet."""

        async def given(docker: aiodocker.Docker) -> None:
            put: Callable[[str, io.BytesIO], Awaitable[Any]] = docker.containers.container(name).put_archive
            await put(place, io.BytesIO(tar))

        await self.ask(given, 120)

    async def commit(self, name: str, repository: str, tag: str, changes: Sequence[str]) -> None:
        """Keep a container's file system as an image."""
        await self.ask(
            lambda docker: docker.containers.container(name).commit(repository=repository, tag=tag, changes=changes),
            600,
        )

    async def lines(self, name: str) -> AsyncGenerator[str, None]:
        """What a container says, from its beginning until it ends, by line; nothing where there is none."""
        docker = await self.ask(_itself)
        rest = ""
        try:
            async for chunk in docker.containers.container(name).log(stdout=True, stderr=True, follow=True):
                *whole, rest = (rest + chunk).split("\n")
                for line in whole:
                    yield line.rstrip("\r")
        except aiodocker.DockerError as error:
            if error.status == _UNREACHABLE:
                raise self._unreachable(error.message) from error
            if error.status not in (404, 409):  # 409: it is being removed
                raise Refused(error.status, error.message) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unreachable(str(error)) from error
        if rest:
            yield rest

    async def containers(self, *labels: str) -> list[dict[str, Any]]:
        """The containers that carry all these labels, running or not, as its list tells them."""
        filters = {"label": list(labels)}
        found = await self.ask(lambda docker: docker.containers.list(all=True, filters=_json(filters)))
        return [dict(one._container) for one in found]

    async def networks(self, *labels: str) -> list[dict[str, Any]]:
        """The networks that carry all these labels."""
        return await self.ask(lambda docker: docker.networks.list(filters={"label": list(labels)} if labels else None))

    async def network(self, name: str) -> bool:
        """Whether there is a network of that name."""
        return await self.find(lambda docker: docker.networks.get(name)) is not None

    async def create_network(self, config: Mapping[str, Any]) -> None:
        """Make a network."""
        await self.ask(lambda docker: docker.networks.create(dict(config)), 60)

    async def delete_network(self, network: str) -> None:
        """Remove a network that nobody is in."""

        async def deleted(docker: aiodocker.Docker) -> None:
            await (await docker.networks.get(network)).delete()

        await self.ask(deleted)

    async def join(self, network: str, container: str) -> None:
        """Let a container join a network."""

        async def joined(docker: aiodocker.Docker) -> None:
            await (await docker.networks.get(network)).connect({"Container": container})

        await self.ask(joined)

    async def events(self, **filters: Sequence[str]) -> AsyncGenerator[dict[str, Any], None]:
        """What happens from now on, until the engine ends or `close`. Raises Unavailable where it can't be asked.

        The first thing that it gives is empty: from then on it listens."""
        docker = await self.ask(_itself)
        timeout = aiohttp.ClientTimeout(sock_connect=self.patience)
        try:
            async with docker._query("events", params={"filters": _json(filters)}, timeout=timeout) as answer:
                with contextlib.closing(answer):
                    yield {}
                    async for line in answer.content:
                        yield _parsed(line)
        except aiodocker.DockerError as error:
            raise self._unreachable(error.message) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unreachable(str(error)) from error

    async def close(self) -> None:
        """Let go of the engine."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _open(self) -> aiodocker.Docker:
        if self._client is None:
            self._client = aiodocker.Docker(self.url, timeout=aiohttp.ClientTimeout(total=None))
        return self._client

    def _unreachable(self, why: str) -> Unavailable:
        return Unavailable("docker_unreachable", f"Docker at {self.url} can't be asked at present: {why}.")


async def _itself(docker: aiodocker.Docker) -> aiodocker.Docker:
    await docker.version()
    return docker


def _json(filters: Mapping[str, Sequence[str]]) -> str:
    return json.dumps({name: list(values) for name, values in filters.items()})


def _parsed(line: bytes) -> dict[str, Any]:
    content = json.loads(line)
    return content if isinstance(content, dict) else {}
