"""Having an image: the one that is there, or fetched from its registry, whose refusals are told apart."""

from __future__ import annotations

from typing import Any

from common.docker.daemon import Daemon, Refused
from common.kernel.errors import BadUpstream, Forbidden, NotFound

SECONDS = 1800.0
"""How long fetching may take."""
_ABSENT = ("not found", "manifest unknown", "no such image", "repository does not exist")
_DENIED = ("denied", "unauthorized", "no basic auth", "authentication required")


async def fetch_image(daemon: Daemon, reference: str) -> dict[str, Any]:
    """All that the engine knows of an image, which is there afterwards; its `Id` names exactly what was found.

    Raises NotFound (`image_not_found`), Forbidden (`registry_refused`), BadUpstream (`registry_failed`), Unavailable.
    """
    found = await daemon.image(reference)
    if found is not None:
        return found
    try:
        await daemon.ask(lambda docker: docker.images.pull(reference), SECONDS)
        found = await daemon.image(reference)
    except Refused as refused:
        raise _problem(reference, refused.message) from refused
    if found is None:
        raise NotFound("image_not_found", f"The image {reference} was fetched, but isn't there; give its digest.")
    return found


def _problem(reference: str, said: str) -> Exception:
    """What a registry's refusal means: it says 404 or 500 for whatever reason, so its words decide."""
    words = said.lower()
    if any(word in words for word in _DENIED):
        return Forbidden(
            "registry_refused", f"The registry doesn't give the image {reference}, or has none of that name: {said}"
        )
    if any(word in words for word in _ABSENT):
        return NotFound("image_not_found", f"There is no image {reference}: {said}")
    return BadUpstream("registry_failed", f"The image {reference} can't be fetched from its registry: {said}")
