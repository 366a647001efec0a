"""`python -m train_svc`: train-svc alone in a process, configured by environment.

`python -m train_svc simulate` runs the scheduler alone over a trace, and serves nothing.
"""

from __future__ import annotations

import sys

from common.hosting import Alone, Needs, serve
from train_svc.service import NAME, build
from train_svc.settings import Settings
from train_svc.simulate.__main__ import main as simulate

if __name__ == "__main__":
    if sys.argv[1:2] == ["simulate"]:
        sys.exit(simulate(sys.argv[2:]))
    sys.exit(serve(Alone(NAME, lambda platform, _: build(platform), Settings, Needs.FILES | Needs.WORKLOADS)))
