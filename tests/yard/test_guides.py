"""The commands of guides are those that there are, their JSON is what the API takes, and credentials are those that are
taken."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.yard.stub import Stub
from tests.yard.test_commands import here, yard
from train_svc.schemas.jobs import JobIn
from yard.api.sources import SECRETS

__all__ = ["here", "yard"]

GUIDES = {
    path.name: path.read_text().replace("\\\n", "")
    for name in ("formatted-sets", "sources", "uploads")
    for path in [Path(__file__).parents[2] / "docs" / "guides" / f"{name}.md"]
}


def blocks(guide: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", GUIDES[guide], re.M | re.S)


COMMANDS = [
    pytest.param(command, id=f"{guide}: {command}")
    for guide in GUIDES
    for command in re.findall(r"^yard (.*)$", "\n".join(blocks(guide, "sh")), re.M)
]
JOBS = blocks("formatted-sets.md", "json")


@pytest.mark.row("D2", "D9", "D11")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_a_guide_is_one(yard: Any, stub: Stub, here: Path, command: str) -> None:
    (here / "s3.json").write_text('{"access_key_id": "k", "secret_access_key": "s"}')
    (here / "swift.txt").write_text("user_name=u\npassword=p\n")
    (here / "pets.zip").write_bytes(b"x" * 1000)
    for name in ("bucket", "lab"):
        stub.add("sources", "src", name=name, connection={"type": "s3", "bucket": "b"}, credentials=["access_key_id"])
    for name in ("digits", "more-digits", "pets"):
        stub.add("datasets", "ds", name=name, purpose="image/classification", online=True)
    for name in ("my-algorithm", "mxnet-classifier"):  # the others of guides are there already
        stub.add("algorithms", "algo", name=name, purpose="image/classification", online=True)
    rest = stub.add("formatted-sets", "set", name="digits 20% recordio", state="ready", complement=None)
    stub.add("formatted-sets", "set", name="digits 80% recordio", state="ready", complement={"id": rest["id"]})
    ended = yard(*shlex.split(command, comments=True))
    assert ended.code == 0, ended.err


def test_there_are_commands_and_jobs_in_them() -> None:
    assert (len(COMMANDS) > 10, len(JOBS)) == (True, 2)


@pytest.mark.row("D9")
@pytest.mark.parametrize("body", JOBS)
def test_a_job_of_the_guide_is_one_that_the_api_takes(body: str) -> None:
    told = {"name": "one", "algorithm_id": "algo-1", **json.loads(body)}
    assert JobIn.model_validate(told).validation is not None


@pytest.mark.row("D11")
def test_the_guide_names_all_credentials() -> None:
    rows = re.findall(r"^\| `(s3|swift|path)` \| (.*) \|$", GUIDES["sources.md"], re.M)
    assert {kind: tuple(re.findall(r"`(\w+)`", names)) for kind, names in rows} == {
        kind: SECRETS[kind] for kind in ("s3", "swift", "path")
    }
