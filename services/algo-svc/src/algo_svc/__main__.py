"""`python -m algo_svc`: algo-svc alone in a process, configured by environment."""

from __future__ import annotations

import sys

from algo_svc.service import NAME, build
from algo_svc.settings import Settings
from common.hosting import Alone, Needs, serve

if __name__ == "__main__":
    sys.exit(serve(Alone(NAME, lambda platform, _: build(platform), Settings, Needs.FILES | Needs.ENGINES)))
