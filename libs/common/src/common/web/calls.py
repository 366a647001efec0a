"""Calls from one service to another, signed by the caller for itself; problems come back as problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2
from opentelemetry.propagate import inject

from common.kernel.errors import BadUpstream, Problem, Unavailable
from common.web.identity import Signer, TokenTime

LIMITS = httpx2.Timeout(5.0, connect=2.0)


class Relayed(Problem):
    """A problem that another service answered, passed on as it is."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        known = {"type", "title", "status", "code", "detail"}
        extra = {name: value for name, value in body.items() if name not in known}
        super().__init__(str(body.get("code", "upstream")), str(body.get("detail", "")), **extra)
        self.status = status  # type: ignore[misc]
        self.title = str(body.get("title", ""))  # type: ignore[misc]


class Calls:
    """HTTP to the other services; `clients` has one for each, in process or over the network."""

    def __init__(self, signer: Signer, clients: Mapping[str, httpx2.AsyncClient]) -> None:
        self._signer = signer
        self._clients = clients

    def follow(self, time: TokenTime) -> None:
        """Sign by that time."""
        self._signer.time = time

    async def get(self, service: str, path: str, **params: str) -> Any:
        """The JSON at `path`. Raises the problem it answered, Unavailable where it can't be reached."""
        return await self._send(service, "GET", path, params=params)

    async def post(self, service: str, path: str, body: Any = None) -> Any:
        """Send JSON, give the JSON answered (None for an empty body)."""
        return await self._send(service, "POST", path, json=body)

    async def put(self, service: str, path: str, body: Any = None) -> Any:
        """Send JSON, give the JSON answered (None for an empty body)."""
        return await self._send(service, "PUT", path, json=body)

    async def delete(self, service: str, path: str) -> Any:
        """Delete what is at `path`."""
        return await self._send(service, "DELETE", path)

    async def _send(self, service: str, method: str, path: str, **kwargs: Any) -> Any:
        client = self._clients.get(service)
        if client is None:
            raise Unavailable("service_unavailable", f"{service} is not part of this installation.")
        headers = {"Authorization": f"Bearer {self._signer.for_itself()}"}
        inject(headers)
        try:
            answer = await client.request(method, path, headers=headers, timeout=LIMITS, **kwargs)
        except httpx2.TransportError as error:
            raise Unavailable("service_unavailable", f"{service} does not answer at present: {error!r}.") from error
        return _content(service, answer)


def _content(service: str, answer: httpx2.Response) -> Any:
    if answer.is_success:
        return answer.json() if answer.content else None
    try:
        body = answer.json()
    except ValueError as error:
        raise BadUpstream("bad_answer", f"{service} answered {answer.status_code} without a reason.") from error
    if answer.status_code == Unavailable.status:  # whoever waits for what is away must wait for this too
        raise Unavailable(str(body.get("code", "service_unavailable")), str(body.get("detail", "")))
    raise Relayed(answer.status_code, body)
