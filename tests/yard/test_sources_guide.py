"""The commands of docs/guides/sources.md are those that there are, and its credentials those that are taken."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.yard.stub import Stub
from tests.yard.test_commands import here, yard
from yard.api.sources import SECRETS

__all__ = ["here", "yard"]

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "sources.md").read_text().replace("\\\n", "")
COMMANDS = re.findall(r"^yard (.*)$", "\n".join(re.findall(r"^```sh\n(.*?)^```$", GUIDE, re.M | re.S)), re.M)


@pytest.mark.row("D11")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_guide_is_one(yard: Any, stub: Stub, here: Path, command: str) -> None:
    (here / "s3.json").write_text('{"access_key_id": "k", "secret_access_key": "s"}')
    (here / "swift.txt").write_text("user_name=u\npassword=p\n")
    for name in ("bucket", "lab"):
        stub.add("sources", "src", name=name, connection={"type": "s3", "bucket": "b"}, credentials=["access_key_id"])
    stub.add("datasets", "ds", name="pets", purpose="image/classification", online=True)
    stub.add("algorithms", "algo", name="my-algorithm", purpose="image/classification", online=True)
    ended = yard(*shlex.split(command, comments=True))
    assert ended.code == 0, ended.err


@pytest.mark.row("D11")
def test_the_guide_names_all_credentials() -> None:
    rows = re.findall(r"^\| `(s3|swift|path)` \| (.*) \|$", GUIDE, re.M)
    assert {kind: tuple(re.findall(r"`(\w+)`", names)) for kind, names in rows} == {
        kind: SECRETS[kind] for kind in ("s3", "swift", "path")
    }
