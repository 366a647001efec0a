"""Where the platform is and who one is there, kept between commands in a file that only its owner can read.

Environment: `YARD_ADDRESS`, `YARD_TOKEN`, `YARD_API_KEY` come first. A stored token is sent to the address that gave
it and to no other.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from yard.errors import YardError

DEFAULT_ADDRESS = "http://127.0.0.1:8765"


@dataclass(frozen=True)
class Known:
    """A login at one platform; `expires_at` as the platform told it."""

    token: str
    user: str
    expires_at: str = ""


@dataclass
class Config:
    """The address used last, and a login an address."""

    address: str = DEFAULT_ADDRESS
    logins: dict[str, Known] = field(default_factory=dict)


@dataclass(frozen=True)
class Identity:
    """Where to connect, and the token or API key to show, None where there is none."""

    address: str
    secret: str | None
    source: str


def config_path(environment: Mapping[str, str]) -> Path:
    """The file; `XDG_CONFIG_HOME` moves it."""
    base = environment.get("XDG_CONFIG_HOME") or str(Path(environment.get("HOME") or "~").expanduser() / ".config")
    return Path(base) / "yard" / "config.json"


def read(path: Path) -> Config:
    """What is stored; nothing where there is no file. Raises YardError (`bad_config`)."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Config(told["address"], {at: Known(**known) for at, known in told["logins"].items()})
    except FileNotFoundError:
        return Config()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise YardError("bad_config", f"{path} can't be read ({error}). Remove it and log in again.") from error


def write(path: Path, config: Config) -> None:
    """Store it, whole or not at all, with mode 0600 in a folder of mode 0700."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=".config-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(config), file, indent=2)
        Path(beside).replace(path)
    finally:
        Path(beside).unlink(missing_ok=True)


def identity(config: Config, environment: Mapping[str, str]) -> Identity:
    """Who one is where, from the environment and then from what is stored."""
    address = (environment.get("YARD_ADDRESS") or config.address).rstrip("/")
    for name in ("YARD_TOKEN", "YARD_API_KEY"):
        if environment.get(name):
            return Identity(address, environment[name], name)
    known = config.logins.get(address)
    return Identity(address, known.token if known else None, f"login of {known.user}" if known else "")
