"""What people type after `--mount`, as what the platform takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from yard.errors import YardError

FORM = "source=NAME,at=FOLDER[,path=BELOW][,mode=rw]"

Mount = Annotated[
    list[str] | None,
    typer.Option("--mount", help=f"A source as it is: {FORM}; may be repeated.", show_default=False),
]

_KNOWN = ("source", "at", "path", "mode")


def mounts_of(given: Sequence[str] | None, id_of: Callable[[str], str]) -> list[dict[str, Any]]:
    """Mounts from texts such as `source=lab,path=photos,at=photos`; `id_of` finds a source by its name. A folder's name
    is the source's where none is said. Raises YardError (`bad_option`)."""
    return [_mount(text, id_of) for text in given or ()]


def _mount(text: str, id_of: Callable[[str], str]) -> dict[str, Any]:
    pairs = dict(_pair(piece, text) for piece in text.split(","))
    if not pairs.get("source"):
        raise YardError("bad_option", f"{text!r} names no source. Write it like {FORM}.")
    if pairs.get("mode", "ro") not in ("ro", "rw"):
        raise YardError("bad_option", f"mode is ro or rw, not {pairs['mode']!r}.")
    return {
        "source_id": id_of(pairs["source"]),
        "at": pairs.get("at") or pairs["source"],
        "path": pairs.get("path", ""),
        "read_only": pairs.get("mode", "ro") == "ro",
    }


def _pair(piece: str, text: str) -> tuple[str, str]:
    name, sign, value = piece.partition("=")
    if not sign or name not in _KNOWN:
        raise YardError("bad_option", f"{piece!r} in {text!r} is none of {FORM}.")
    return name, value
