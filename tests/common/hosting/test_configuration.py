"""Configuration that is not good is told line by line, with exit code 2, without a traceback and without secrets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from pydantic_settings import BaseSettings, SettingsConfigDict

from common.hosting import Alone, Needs, Settings, serve
from common.hosting.files import open_files
from tests.support.logs import logging_kept

GOOD = {
    "YARD_DATABASE_URL": "postgresql+asyncpg://yard:hunter2@127.0.0.1:1/{service}",
    "YARD_BUS_URL": "amqp://yard:hunter2@127.0.0.1:1/",
}


class Own(BaseSettings):
    """The settings of a service that is none."""

    model_config = SettingsConfigDict(env_prefix="OWN_", use_attribute_docstrings=True)

    how_many: int = 3
    """How many of them."""


def never(*_: object) -> None:
    raise AssertionError("it must not get so far")


ALONE = Alone("own-svc", never, Own, Needs.FILES)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _nothing_else_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Iterator[None]:
    for name in tuple(os.environ):
        if name.startswith("YARD_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("YARD_HOME", str(tmp_path))
    with logging_kept():
        yield


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **environment: str) -> str:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert serve(ALONE, []) == 2
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert "hunter2" not in told
    return told


def test_what_must_be_set_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    told = refused(monkeypatch, capsys)
    assert "YARD_DATABASE_URL must be set" in told
    assert "YARD_BUS_URL must be set" in told
    assert "Nothing was started" in told


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("YARD_BUS_URL", "memory:", "reaches nobody outside its process"),
        ("YARD_BUS_URL", "redis://hunter2", "amqp://"),
        ("YARD_DATABASE_URL", "mysql://hunter2@host/{service}", "postgresql+asyncpg"),
        ("YARD_DATABASE_URL", "postgresql+asyncpg://u:hunter2@host/one", "{service}"),
        ("YARD_FILES_URL", "s3://bucket", "endpoint"),
        ("YARD_FILES_URL", "ftp://there", "s3: or file:"),
        ("YARD_FILES_URL", "s3://bucket?endpoint=http://there", "YARD_S3_SECRET"),
        ("YARD_SERVICES", "somewhere", "http://{service}:8000"),
        ("YARD_SERVICES", '{"train-svc": 1', "JSON"),
        ("YARD_PORT", "hunter2", "YARD_PORT"),
        ("YARD_LOG_LEVEL", "hunter2", "YARD_LOG_LEVEL"),
        ("OWN_HOW_MANY", "hunter2", "OWN_HOW_MANY"),
    ],
)
def test_what_is_wrong_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, why: str
):
    told = refused(monkeypatch, capsys, **(GOOD | {name: value}))
    assert why in told
    assert name in told


def test_a_runtime_that_is_unknown_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    told = refused(monkeypatch, capsys, **GOOD, YARD_RUNTIME_URL="lxc:", YARD_PORT="0")
    assert "process:" in told


def test_a_port_that_is_taken_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"127.0.0.1:{port}" in refused(monkeypatch, capsys, **GOOD, YARD_PORT=port)


def test_help_lists_what_can_be_set():
    done = subprocess.run([sys.executable, "-m", "train_svc", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "YARD_DATABASE_URL  (must be set)" in done.stdout
    assert "TRAIN_CPU_OVERCOMMIT  (default 4)" in done.stdout
    assert "How many CPUs may be promised" in done.stdout


def given(**more: str) -> Settings:
    return Settings.model_validate({name.lower().removeprefix("yard_"): value for name, value in (GOOD | more).items()})


def test_urls_become_what_they_mean():
    settings = given(YARD_SERVICES="http://{service}.internal:80")
    assert settings.database_of("train-svc-metrics").endswith("@127.0.0.1:1/train_svc_metrics")
    assert settings.address_of("algo-svc") == "http://algo-svc.internal:80"
    by_name = given(YARD_SERVICES='{"algo-svc": "http://a:1"}')
    assert (by_name.address_of("algo-svc"), by_name.address_of("train-svc")) == ("http://a:1", None)
    assert given(YARD_DATABASE_URL="postgresql://u@h/{service}").database_of("gateway").startswith("postgresql+asyncpg")
    assert "hunter2" not in repr(settings)


def test_two_instances_have_two_names():
    assert given().instance != given().instance
    assert given(YARD_INSTANCE="one").instance == "one"


def test_s3_has_what_its_url_says():
    url = "s3://bucket/a%20b/c?endpoint=http://in:1&public=https://out&region=eu&part_copy=no&flat=no"
    files = open_files(given(YARD_FILES_URL=url, YARD_S3_KEY="k", YARD_S3_SECRET="hunter2"))
    told = files._settings  # type: ignore[attr-defined]
    assert (told.endpoint, told.public, told.bucket, told.prefix) == ("http://in:1", "https://out", "bucket", "a b/c/")
    assert (told.region, told.part_copy, told.flat, told.key) == ("eu", False, False, "k")
    assert "hunter2" not in repr(told)
