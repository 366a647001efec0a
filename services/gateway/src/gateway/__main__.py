"""`python -m gateway`: the gateway alone in a process, before services that run elsewhere."""

from __future__ import annotations

import sys

import common.hosting
from common.hosting import Alone, serve
from common.service import Platform, Service
from gateway.domain.routing import GATEWAY, OWNERS
from gateway.service import build
from gateway.settings import Settings
from gateway.upstreams import Remote


def _before_others(platform: Platform, host: common.hosting.Settings) -> Service:
    settings = Settings()
    behind = {name: host.address_of(name) for name in sorted(set(OWNERS.values()) - {GATEWAY})}
    remotes = {name: Remote(address) for name, address in behind.items() if address is not None}
    return build(platform, settings, remotes)


if __name__ == "__main__":
    sys.exit(serve(Alone(GATEWAY, _before_others, Settings)))
