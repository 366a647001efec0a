"""A small Debian with Python, made by debootstrap once and kept: a base image where none can be pulled."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.servers.environment import CACHE
from tests.servers.packages import ensure

SUITE = "bookworm"
PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
LEFT_OUT = ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale")
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
VERSION = "1"


def base_tar() -> Path:
    """The root of that Debian as a tar, made by the first who asks. Fails the test where that can't be done."""
    bundle = Path(os.environ.get("SSL_CERT_FILE", BUNDLE))
    trust = bundle.read_bytes() if bundle.is_file() else b""
    inputs = "\n".join((VERSION, SUITE, PACKAGES, *LEFT_OUT, hashlib.sha256(trust).hexdigest()))
    tar = CACHE / f"debian-{hashlib.sha256(inputs.encode()).hexdigest()[:12]}.tar"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "debian.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tar.exists():
            program = ensure("debootstrap", lambda: _which("debootstrap"))
            with tempfile.TemporaryDirectory(prefix="modelyard-debian-") as folder:
                _make(program, Path(folder) / "root", trust, tar)
    return tar


def _which(name: str) -> Path | None:
    found = shutil.which(name, path="/usr/sbin:/usr/bin")
    return Path(found) if found else None


def _make(program: Path, root: Path, trust: bytes, tar: Path) -> None:
    try:
        _run(program, "--variant=minbase", f"--include={PACKAGES}", SUITE, root)
    finally:
        subprocess.run(["umount", "-q", "-l", root / "proc", root / "sys"], capture_output=True)
    if trust:  # what this machine trusts, so that what is installed in containers comes from the same places
        (root / BUNDLE.relative_to("/")).write_bytes(trust)
    (root / "usr/bin/python").symlink_to("python3")
    for mark in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        mark.unlink()
    draft = tar.with_suffix(".tmp")
    _run("tar", "-C", root, *(f"--exclude=./{path}/*" for path in LEFT_OUT), "-cf", draft, ".")
    draft.rename(tar)


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stdout + done.stderr)[-2000:]
        pytest.fail(f"The base image for Docker's tests can't be made: {command[0]} failed:\n{said}", pytrace=False)
