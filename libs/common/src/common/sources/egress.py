"""Which addresses the platform may reach on behalf of a person who named them (OWASP: server-side request forgery).

A name is looked up here, every address that it has must be global or in a network that an administrator allowed, and
the connection goes to that very address: a name that means something else a moment later leads nowhere new.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

from common.kernel.errors import Invalid, Unavailable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
SCHEMES = ("http", "https")


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
        found = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(found, ipaddress.IPv6Address):
            found = found.ipv4_mapped or found.sixtofour or found
        if any(found.version == network.version and found in network for network in self.allowed):
            return True
        return found.is_global and not found.is_multicast

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
        """Raise AddressRefused unless an address may be reached at this moment; connecting checks it again."""
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES or not parts.hostname or parts.username or parts.password:
            raise AddressRefused(url[:200], "an address is http:// or https:// with a host, and no password in it")
        await self.look_up(parts.hostname)


class GuardedResolver(AbstractResolver):
    """Looks names up for aiohttp. IP addresses in URLs never come here: `Egress.check` sees them."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses to connect to."""
        return list(await self._egress.look_up(host, port, family))

    async def close(self) -> None:
        """Nothing is held."""
