"""Writes `.env` for docker-compose.yml: what `.env.example` has, with a fresh random secret wherever it has none.

`python3 docker/fresh_env.py [FILE]`. What is in the file already stays as it is: after an upgrade the same command adds
what is new. Standard library only, for servers that have nothing else.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / ".env.example"
SOCKET = Path("/var/run/docker.sock")
_NAMED = re.compile(r"#?([A-Z][A-Z0-9_]*)=(.*)")


def made(name: str) -> str:
    """A value for a variable that the example leaves empty."""
    if name == "DOCKER_GID":
        return str(SOCKET.stat().st_gid) if SOCKET.exists() else "0"
    if name == "S3_KEY":
        return f"GK{secrets.token_hex(16)}"  # the form that Garage asks for
    return secrets.token_hex(32)


def added(example: str, present: str) -> list[str]:
    """The lines that `present` lacks, with everything that must be set. Comments come only with what they explain."""
    has = {found[1] for line in present.splitlines() if (found := _NAMED.match(line))}
    lines: list[str] = []
    comments: list[str] = []
    for line in example.splitlines():
        found = _NAMED.match(line)
        if found is None:
            comments = [*comments, line] if line else []
        elif found[1] not in has:
            must = not line.startswith("#") and not found[2]
            lines += [*(["", *comments] if comments else []), f"{line}{made(found[1])}" if must else line]
            comments = []
    return lines


def main(arguments: list[str]) -> int:
    """Write the file, for its owner alone, and say what was done."""
    path = Path(arguments[0]) if arguments else ROOT / ".env"
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "a+") as file:
        file.seek(0)
        present = file.read()
        lines = added(EXAMPLE.read_text(), present)
        file.write("".join(f"{line}\n" for line in lines))
    if not present:
        print(f"{path} is written. Log in as admin with the GATEWAY_ADMIN_PASSWORD in it.")  # noqa: T201
    else:
        names = [found[1] for line in lines if (found := _NAMED.match(line))]
        print(f"{path} stays as it is; added: {', '.join(names) or 'nothing'}.")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
