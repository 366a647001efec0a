"""The platform's OpenAPI document, from those of the services that answer."""

from __future__ import annotations

import asyncio
from typing import Any

from common.kernel.errors import Unavailable
from gateway.context import Context
from gateway.domain.document import merge
from gateway.domain.routing import GATEWAY
from gateway.upstreams import ask


async def whole_document(context: Context, own: dict[str, Any]) -> dict[str, Any]:
    """All in one; services that don't answer now are named in `x-unavailable`."""
    names = sorted(context.upstreams)
    found = await asyncio.gather(*(_document_of(context, name) for name in names))
    documents = {name: document for name, document in zip(names, found, strict=True) if document is not None}
    merged = merge("Modelyard", {GATEWAY: own, **documents})
    missing = [name for name, document in zip(names, found, strict=True) if document is None]
    return {**merged, "x-unavailable": missing} if missing else merged


async def _document_of(context: Context, service: str) -> dict[str, Any] | None:
    try:
        async with asyncio.timeout(context.settings.part_seconds):
            answer = await ask(context.upstreams[service], "/openapi.json")
    except (Unavailable, TimeoutError):
        return None
    return answer.body if answer.status == 200 and isinstance(answer.body, dict) else None
