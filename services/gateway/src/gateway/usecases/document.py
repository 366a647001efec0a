"""The platform's OpenAPI document, from those of the services that answer."""

from __future__ import annotations

import asyncio
from typing import Any

from common.kernel.errors import Unavailable
from gateway.context import Context
from gateway.domain.document import merge
from gateway.domain.routing import GATEWAY, OWNERS, collection_of
from gateway.upstreams import ask


async def whole_document(context: Context, own: dict[str, Any]) -> dict[str, Any]:
    """All in one; services that don't answer now are named in `x-unavailable`."""
    names = sorted(context.upstreams)
    found = await asyncio.gather(*(_document_of(context, name) for name in names))
    told = {GATEWAY: own, **{name: one for name, one in zip(names, found, strict=True) if one is not None}}
    merged = merge("Modelyard", {name: _reachable(name, document) for name, document in told.items()})
    missing = [name for name, document in zip(names, found, strict=True) if document is None]
    return {**merged, "x-unavailable": missing} if missing else merged


def _reachable(service: str, document: dict[str, Any]) -> dict[str, Any]:
    """The document without what can't be asked through the gateway, such as each service's own dead letters."""
    paths = document.get("paths", {})
    return {**document, "paths": {path: item for path, item in paths.items() if _owner(path) == service}}


def _owner(path: str) -> str | None:
    collection = collection_of(path)
    return GATEWAY if collection is None else OWNERS.get(collection)


async def _document_of(context: Context, service: str) -> dict[str, Any] | None:
    try:
        async with asyncio.timeout(context.settings.part_seconds):
            answer = await ask(context.upstreams[service], "/openapi.json")
    except (Unavailable, TimeoutError):
        return None
    return answer.body if answer.status == 200 and isinstance(answer.body, dict) else None
