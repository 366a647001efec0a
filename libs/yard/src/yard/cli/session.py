"""The connection that a command uses, and questions to the person at the keyboard."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from yard.config import config_path, identity, read
from yard.errors import YardError

if TYPE_CHECKING:
    from yard.client import Client

PATIENCE = 3.0
"""Seconds that a command bears a platform that does not answer; `YARD_PATIENCE` changes it."""


@contextmanager
def connected() -> Iterator[Client]:
    """The platform, as whoever is logged in. Raises YardError (`not_logged_in`)."""
    from yard.client import Client

    who = identity(read(config_path(os.environ)), os.environ)
    if who.secret is None:
        raise YardError(
            "not_logged_in",
            f"You are not logged in at {who.address}. Run `yard login {who.address}`, or set YARD_API_KEY.",
        )
    with Client(who.address, who.secret, patience=patience()) as client:
        yield client


def patience() -> float:
    """How long to bear a platform that does not answer, in seconds."""
    told = os.environ.get("YARD_PATIENCE", "")
    try:
        return float(told) if told else PATIENCE
    except ValueError:
        raise YardError("bad_setting", f"YARD_PATIENCE is {told!r}; give seconds, like 10.") from None


def sure(question: str, yes: bool) -> None:
    """Ask before something is lost, where there is somebody to ask; ends the command on a no."""
    if not yes and sys.stdin.isatty() and not typer.confirm(question):
        raise typer.Exit(1)
