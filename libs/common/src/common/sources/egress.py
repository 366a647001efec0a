"""Which addresses the platform may reach on behalf of a person who named them (OWASP: server-side request forgery).

A name is looked up here, every address that it has must be global or in a network that an administrator allowed, and
the connection goes to that very address: a name that means something else a moment later leads nowhere new.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import AddrInfoType

from common.kernel.errors import Invalid, Unavailable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
SCHEMES = ("http", "https")

_WORLD = ipaddress.IPv6Network("2000::/3")
"""All IPv6 addresses of the open internet (RFC 4291 §2.4); the others are local, reserved, or wrap something."""

_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
"""What a translator takes for the IPv4 address in the last 32 bits (NAT64, RFC 6052 §2.1)."""

_INSIDE = (ipaddress.IPv4Network("192.0.0.0/24"), ipaddress.IPv4Network("168.63.129.16/32"))
"""Global as Python has it, and yet near: what has a meaning to the network itself alone (RFC 6890 §2.2.2), and the host
of a machine in Azure as that machine sees it."""


class AddressRefused(Invalid):
    """422 `address_refused`: an address inside the platform's own network, or none at all."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__("address_refused", f"{host} may not be reached from here: {reason}.")


@dataclass(frozen=True)
class Egress:
    """What may be reached: every global address, and the networks in `allowed` (such as `10.1.0.0/16`)."""

    allowed: tuple[Network, ...] = ()

    @classmethod
    def of(cls, networks: Iterable[str]) -> Egress:
        """From networks as text. Raises ValueError for what is none."""
        return cls(tuple(ipaddress.ip_network(network) for network in networks))

    def permits(self, address: str) -> bool:
        """Whether that IP address may be reached. One that wraps an IPv4 address is taken as that."""
        found = _unwrapped(ipaddress.ip_address(address.partition("%")[0]))
        if any(found.version == network.version and found in network for network in self.allowed):
            return True
        in_the_world = found in _WORLD if found.version == 6 else not any(found in network for network in _INSIDE)
        return in_the_world and found.is_global and not found.is_multicast

    async def look_up(self, host: str, port: int = 0, family: int = socket.AF_UNSPEC) -> Sequence[ResolveResult]:
        """The addresses of a host. Raises AddressRefused where one may not be reached, Unavailable (`unknown_host`)."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        except (OSError, UnicodeError) as error:
            raise Unavailable("unknown_host", f"{host[:200]} can't be looked up ({error}).") from error
        for *_, address in found:
            if not self.permits(str(address[0])):
                raise AddressRefused(host, f"it is {address[0]}, which no administrator allowed")
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=int(kind),
                proto=proto,
                flags=int(socket.AI_NUMERICHOST | socket.AI_NUMERICSERV),
            )
            for kind, _, proto, _, address in found
        ]

    async def check(self, url: str) -> None:
        """Raise AddressRefused unless an address may be reached at this moment; connecting checks it again. Of what is
        refused the host alone is told: the rest may be a secret."""
        try:
            parts = urlsplit(url)
            _ = parts.port  # raises for what is none
        except ValueError as error:
            raise AddressRefused(_host(url), "what was given is no address") from error
        if parts.scheme not in SCHEMES or not parts.hostname or parts.username or parts.password:
            raise AddressRefused(_host(url), "an address is http:// or https:// with a host, and no password in it")
        await self.look_up(parts.hostname)

    def connector(self) -> dict[str, Any]:
        """How aiohttp is to connect, so that it reaches nothing else: not by a name that means another host now, nor by
        a redirect to an address, which no resolver sees."""
        return {"resolver": GuardedResolver(self), "socket_factory": self._socket}

    def _socket(self, info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        if not self.permits(str(address[0])):
            raise AddressRefused(str(address[0]), "no administrator allowed it")
        return socket.socket(family, kind, protocol)


def _host(url: str) -> str:
    """The host of what may be no address at all, without what stands before or behind it."""
    found = re.match(r"\[[^]]*\]?|[^/?#:]*", url.partition("//")[2].rpartition("@")[2])
    return (found[0] if found else "")[:200] or "The address"


def _unwrapped(found: Address) -> Address:
    """The address that is meant by one that wraps it. Teredo's are in no use and refused, like whatever else wraps."""
    if isinstance(found, ipaddress.IPv4Address):
        return found
    if found in _TRANSLATED:
        return ipaddress.IPv4Address(found.packed[-4:])
    return found.ipv4_mapped or found.sixtofour or found


class GuardedResolver(AbstractResolver):
    """Looks names up for aiohttp. IP addresses in URLs never come here: `Egress` sees them where one connects."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses to connect to."""
        return list(await self._egress.look_up(host, port, family))

    async def close(self) -> None:
        """Nothing is held."""
