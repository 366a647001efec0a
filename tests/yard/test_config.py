"""Where one is logged in, kept in a file that only its owner can read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from yard import YardError
from yard.config import Config, Known, config_path, identity, read, write

AT = "http://yard.example"


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "yard" / "config.json"
    before = os.umask(0)
    try:
        write(path, Config(AT, {AT: Known("secret", "alice")}))
        write(path, Config(AT, {AT: Known("secret2", "alice")}))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert os.listdir(path.parent) == ["config.json"]
    assert read(path).logins[AT].token == "secret2"


def test_without_a_file_nobody_is_logged_in(tmp_path: Path) -> None:
    who = identity(read(tmp_path / "none.json"), {})
    assert (who.address, who.secret) == ("http://127.0.0.1:8765", None)


@pytest.mark.parametrize("content", ["no json", "[]", '{"address": 1}', '{"address": "a", "logins": {"x": {"y": 1}}}'])
def test_a_damaged_file_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises(YardError, match="bad_config"):
        read(path)


def test_the_environment_comes_first() -> None:
    stored = Config(AT, {AT: Known("stored", "alice")})
    assert identity(stored, {}).secret == "stored"
    assert identity(stored, {"YARD_TOKEN": "t", "YARD_API_KEY": "k"}).secret == "t"
    assert identity(stored, {"YARD_API_KEY": "k"}).secret == "k"


def test_a_stored_token_goes_to_no_other_address() -> None:
    stored = Config(AT, {AT: Known("stored", "alice")})
    assert identity(stored, {"YARD_ADDRESS": "http://other.example"}).secret is None
    assert identity(stored, {"YARD_ADDRESS": AT + "/"}).secret == "stored"


def test_the_file_lies_where_the_system_keeps_such_files() -> None:
    assert config_path({"HOME": "/home/a"}) == Path("/home/a/.config/yard/config.json")
    assert config_path({"HOME": "/home/a", "XDG_CONFIG_HOME": "/c"}) == Path("/c/yard/config.json")
