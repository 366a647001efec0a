"""The online test: sends the request to a ready replica and tells what came back (row S10)."""

from __future__ import annotations

import base64
import json
import random
import time
from dataclasses import dataclass
from typing import Any

import httpx2

from common.kernel.errors import BadUpstream, Conflict, Stopped, Unavailable
from serving_svc.context import Context
from serving_svc.domain.requests import TestRequest
from serving_svc.domain.service import InferenceService, ServiceState


@dataclass(frozen=True)
class Answer:
    """What a replica answered. `body` is the JSON, the text, or `{"base64": …}` for anything else."""

    replica: str
    status: int
    latency_ms: float
    content_type: str
    body: Any
    truncated: bool


async def call(context: Context, service: InferenceService, request: TestRequest) -> Answer:
    """Send it.

    Raises Stopped (`service_stopped`), Unavailable (`no_ready_replica`), BadUpstream (`replica_timeout`,
    `replica_failed`).
    """
    if not service.endpoints:
        raise _nobody(service)
    endpoint = random.choice(service.endpoints)  # noqa: S311 - which of equals is no secret
    started = time.perf_counter()
    try:
        async with context.client.stream(
            request.method,
            endpoint.url.rstrip("/") + request.path,
            params=request.query or None,
            timeout=context.settings.test_seconds,
            **_body(request),
        ) as response:
            content, truncated = await _limited(response, context.settings.test_bytes)
    except httpx2.TimeoutException as error:
        limit = context.settings.test_seconds
        raise BadUpstream("replica_timeout", f"{endpoint.replica} did not answer within {limit:g} s.") from error
    except httpx2.HTTPError as error:
        raise BadUpstream("replica_failed", f"{endpoint.replica} broke off: {type(error).__name__}.") from error
    took = round((time.perf_counter() - started) * 1000, 2)
    kind = response.headers.get("content-type", "")
    return Answer(endpoint.replica, response.status_code, took, kind, _shown(content, kind, truncated), truncated)


def _nobody(service: InferenceService) -> Unavailable:
    """Why none can be asked, with the codes that the service's own address answers with."""
    if service.state == ServiceState.STOPPED:
        start = f'`yard service start {service.id}` or POST /api/v1/services/{service.id}/start {{"replicas": 1}}'
        detail = f"The service is stopped. Start it with {start}, then test it."
        return Stopped("service_stopped", detail, service=service.id, state=str(service.state))
    why = f"The service is {service.state}, but none of its replicas is ready. {service.detail}".strip()
    detail = f"{why} See GET /api/v1/services/{service.id}/replicas, and try again soon."
    return Unavailable("no_ready_replica", detail, service=service.id, state=str(service.state), retry_after=1)


def _body(request: TestRequest) -> dict[str, Any]:
    if request.json_body is not None:
        return {"json": request.json_body}
    if request.files:
        files = {name: (name, content) for name, content in request.files.items()}
        return {"files": files, "data": request.form}
    return {"data": request.form} if request.form else {}


async def _limited(response: httpx2.Response, most: int) -> tuple[bytes, bool]:
    """The first bytes of an answer, and whether there were more."""
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > most:
            return bytes(content[:most]), True
    return bytes(content), False


def _shown(content: bytes, kind: str, truncated: bool) -> Any:
    if "json" in kind and not truncated:
        try:
            return json.loads(content)
        except ValueError:
            return content.decode("utf-8", "replace")
    if kind.startswith("text/") or "json" in kind:
        return content.decode("utf-8", "replace")
    return {"base64": base64.b64encode(content).decode()} if content else None


def require_interface(service: InferenceService) -> Any:
    """Its interface. Raises Conflict (`no_interface`)."""
    if service.inference.interface is None:
        raise Conflict("no_interface", f"{service.id} declares no interface, so there is nothing to test it with.")
    return service.inference.interface
