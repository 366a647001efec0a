"""What the images of all services begin with: it starts the service, and says whether it is ready.

`inside.py train_svc` runs that service; `inside.py --ready` asks the one that runs here and ends with 0 or 1. It needs
nothing but the standard library, as Docker runs it every few seconds.

Where `YARD_HOST` (or `YARD_OPERATOR_HOST`) is a network such as `10.212.0.0/24`, the service listens on this
container's address in it. A gateway's container joins the networks of those who run workloads, and nothing of it is to
be found there.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping

LISTENING = ("YARD_HOST", "YARD_OPERATOR_HOST")
SECONDS = 4.0
READY = "--ready"


def own_address(told: str) -> str:
    """This container's address in the network that is told; what is no network is given back as it is.

    Raises ValueError for what is no network though it has a slash, or one that this container is not in."""
    if "/" not in told:
        return told
    network = ipaddress.ip_network(told)
    with socket.socket(socket.AF_INET6 if network.version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((str(next(network.hosts())), 9))  # sends nothing, and shows which address would be used
        found: str = probe.getsockname()[0]
    if ipaddress.ip_address(found) not in network:
        raise ValueError(f"this container has no address in {told}")
    return found


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """The service's environment: networks to listen on are addresses. Raises ValueError, as `own_address`."""
    return {name: own_address(value) if name in LISTENING else value for name, value in given.items()}


def is_ready(given: Mapping[str, str]) -> bool:
    """Whether the service here can do its work; tells what is missing. Raises ValueError, as `own_address`."""
    host = own_address(given.get("YARD_HOST", "127.0.0.1"))
    address = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{given.get('YARD_PORT', '8000')}/readyz"  # noqa: S104
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=SECONDS) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        with error:
            print(error.read().decode(errors="replace"))  # noqa: T201 - `docker inspect` shows it
    except OSError as error:
        print(f"{address}: {error}")  # noqa: T201
    return False


def main(arguments: list[str]) -> int:
    """Become the service, or ask it. 2 where the address to listen on can't be found."""
    try:
        if arguments == [READY]:
            return 0 if is_ready(os.environ) else 1
        os.execve(sys.executable, [sys.executable, "-m", *arguments], environment(os.environ))  # noqa: S606
    except ValueError as error:
        print(f"{' and '.join(LISTENING)} must name an address or a network: {error}", file=sys.stderr)  # noqa: T201
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
