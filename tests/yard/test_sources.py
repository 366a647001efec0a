"""Where the secrets of a source come from, and that they are shown to nobody."""

from __future__ import annotations

import io
from typing import Any

import pytest

from tests.yard.stub import Stub
from tests.yard.test_commands import here, yard
from yard.cli.imports import what_it_is_at

__all__ = ["here", "yard"]

CREATE = ["source", "create", "cloud", "--type", "s3", "--endpoint-url", "https://s3.example", "--bucket", "b"]
SECRETS = {"access_key_id": "k", "secret_access_key": "canary-5f"}


def sent(stub: Stub) -> Any:
    [asked] = stub.calls("POST", "/sources$")
    return asked.json["credentials"]


@pytest.mark.row("D11")
@pytest.mark.parametrize(
    "form",
    ['{"access_key_id": "k", "secret_access_key": "canary-5f"}', "secret_access_key=canary-5f\n\naccess_key_id = k"],
)
def test_secrets_come_by_standard_input(yard: Any, stub: Stub, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(form))
    ended = yard(*CREATE, "--secrets-file", "-")
    assert (ended.code, sent(stub)) == (0, SECRETS)
    assert "canary" not in ended.out + ended.err


@pytest.mark.row("D11")
def test_secrets_come_from_the_environment(yard: Any, stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(f"YARD_SOURCE_{name.upper()}", value)
    ended = yard(*CREATE)
    assert (ended.code, sent(stub), ended.err) == (0, SECRETS, "")


@pytest.mark.row("D11")
def test_a_secret_on_the_command_line_is_warned_of(yard: Any, stub: Stub) -> None:
    ended = yard(*CREATE, "--secret", "access_key_id=k", "--secret", "secret_access_key=canary-5f")
    assert (ended.code, sent(stub)) == (0, SECRETS)
    assert "Warning" in ended.err
    assert "canary" not in ended.out + ended.err


@pytest.mark.row("D11")
def test_where_nobody_can_be_asked_it_is_told_what_is_needed(
    yard: Any, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    ended = yard(*CREATE, "--secret", "access_key_id=k")
    assert ended.code == 1
    assert "YARD_SOURCE_SECRET_ACCESS_KEY" in ended.err
    assert not stub.calls("POST", "/sources$")
    for bad in ("{", "no pair"):
        monkeypatch.setattr("sys.stdin", io.StringIO(bad))
        assert "bad_secrets" in yard(*CREATE, "--secrets-file", "-").err


def test_what_an_import_is_at_is_a_line() -> None:
    seen: Any = {"phase": "importing", "bytes_done": 3 << 20, "bytes_total": 6 << 20, "files_done": 7, "rate": 2 << 20}
    assert what_it_is_at(seen) == "importing, 3.0 MiB of 6.0 MiB, 7 files, 2.0 MiB/s"
    assert what_it_is_at(seen | {"files_total": 9}).endswith("7 of 9 files, 2.0 MiB/s")
    assert what_it_is_at({"phase": "queued"}) == "queued"
    assert what_it_is_at({"phase": "waiting", "reason": "It is away."}) == "waiting: It is away."
