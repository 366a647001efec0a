"""`python -m train_svc`: train-svc alone in a process, configured by environment."""

from __future__ import annotations

import sys

from common.hosting import Alone, Needs, serve
from train_svc.service import NAME, build
from train_svc.settings import Settings

if __name__ == "__main__":
    sys.exit(serve(Alone(NAME, lambda platform, _: build(platform), Settings, Needs.FILES | Needs.WORKLOADS)))
