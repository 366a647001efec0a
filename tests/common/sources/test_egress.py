"""Which addresses may be reached for a person, and how secrets lie in a database."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.kernel.errors import Invalid, Problem, Unavailable
from common.sources import Egress, SecretBox

INSIDE = [
    "127.0.0.1",
    "127.9.9.9",
    "10.0.0.1",
    "172.16.5.4",
    "192.168.1.1",
    "169.254.169.254",
    "0.0.0.0",
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1%eth0",
    "fc00::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "2002:7f00:1::",
    "ff02::1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::127.0.0.1",
    "64:ff9b:1::a9fe:a9fe",
    "64:ff9b:1:a9fe:a9:fe00::",
    "::169.254.169.254",
    "::8.8.8.8",
    "::ffff:0:10.0.0.1",
    "2001:0:a9fe:a9fe::",
    "2001:0:808:808::f5ff:fffe",
    "fec0::1",
    "192.0.0.8",
    "192.0.0.9",
    "::ffff:192.0.0.8",
    "168.63.129.16",
    "64:ff9b::168.63.129.16",
]


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_inside_are_refused(address: str) -> None:
    assert not Egress().permits(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2001:4860:4860::8888", "64:ff9b::808:808"])
def test_the_rest_of_the_world_is_not(address: str) -> None:
    assert Egress().permits(address)


def test_an_administrator_allows_networks() -> None:
    egress = Egress.of(["10.1.0.0/16", "fd00::/8"])
    assert egress.permits("10.1.2.3")
    assert egress.permits("::ffff:10.1.2.3")
    assert egress.permits("fd00::5")
    assert egress.permits("64:ff9b::10.1.2.3")
    assert Egress.of(["64:ff9b:1::/48"]).permits("64:ff9b:1::a9fe:a9fe"), "who names it means it"
    assert Egress.of(["::1/128"]).permits("::1")
    assert Egress.of(["168.63.129.16/32"]).permits("168.63.129.16")
    assert not egress.permits("10.2.0.1")
    with pytest.raises(ValueError, match="host bits"):
        Egress.of(["10.1.2.3/8"])


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000",
        "http://[::1]/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://localhost/",
        "file:///etc/passwd",
        "gopher://8.8.8.8/",
        "http://user:pw@8.8.8.8/",
        "http:///x",
    ],
)
async def test_however_it_is_written(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        await Egress().check(url)
    assert refused.value.code == "address_refused"


@pytest.mark.parametrize(
    "url",
    [
        "http://key:canary@8.8.8.8/",
        "http://key:canary@8.8.8.8:99999",
        "http://key:canary@[::1",
        "http://key:canary@8.8.8.8:canary",
        "http://key:canary/canary@8.8.8.8/",
        "http://key:canary@8.8.8.8\u2100/",
        "http://key:canary",
        "key:canary@8.8.8.8",
        "ftp://8.8.8.8/canary?canary",
    ],
)
async def test_a_refusal_names_the_host_alone(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        await Egress().check(url)
    assert refused.value.code == "address_refused"
    assert "canary" not in refused.value.detail


async def test_a_name_with_one_address_inside_is_refused_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in ("8.8.8.8", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    with pytest.raises(Invalid):
        await Egress().look_up("both.example")
    assert [one["host"] for one in await Egress.of(["10.0.0.0/8"]).look_up("both.example")] == ["8.8.8.8", "10.0.0.1"]


async def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unavailable) as away:
        await Egress().look_up("nobody.example")
    assert away.value.code == "unknown_host"


def test_secrets_are_sealed_by_the_first_key_and_opened_by_any() -> None:
    own = Ed25519PrivateKey.generate()
    before = SecretBox([], own).seal({"password": "hunter2"})
    assert "hunter2" not in before
    new = Fernet.generate_key().decode()
    box = SecretBox([new], own)
    assert box.open(before) == {"password": "hunter2"}
    after = box.seal({"password": "hunter2"})
    with pytest.raises(Problem) as unreadable:
        SecretBox([], own).open(after)
    assert unreadable.value.code == "secret_unreadable"
    assert SecretBox([Fernet.generate_key().decode(), new], Ed25519PrivateKey.generate()).open(after)
