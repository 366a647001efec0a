"""The main job on real data, told step by step: from an image folder to predictions by a running service.

`run(client)` does it on any platform that the client is logged in to; `python -m yard.demo` from the command line.
"""

from __future__ import annotations

from yard.demo.journey import run

__all__ = ["run"]
