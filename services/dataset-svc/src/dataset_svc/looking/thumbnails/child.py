"""The process that makes thumbnails: `python -m dataset_svc.looking.thumbnails.child`.

On its standard input come a line with its limits, and then orders: a line of JSON, and as many bytes of an image as
that says. For each it answers a line of JSON and as many bytes of PNG. It ends with its input.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from PIL import Image

from dataset_svc.importing.confinement import confine
from dataset_svc.looking.thumbnails.drawing import NotDrawn, thumbnail
from dataset_svc.looking.thumbnails.order import MakerLimits

_CPU_SECONDS = 3600
"""Computing time of the whole process; who started it starts another one then."""


def main() -> int:
    """Make thumbnails until nobody wants any more."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    limits = MakerLimits.from_json(json.loads(source.readline()))
    Image.MAX_IMAGE_PIXELS = limits.pixels
    Image.preinit()
    Image.init()
    os.chdir("/")
    confine(limits.child, _CPU_SECONDS)
    while line := source.readline():
        order = json.loads(line)
        data = source.read(order["bytes"])
        signal.setitimer(signal.ITIMER_REAL, limits.seconds)
        answer, png = _answer(data, order, limits)
        signal.setitimer(signal.ITIMER_REAL, 0)
        target.write(json.dumps({**answer, "bytes": len(png)}).encode() + b"\n" + png)
        target.flush()
    return 0


def _answer(data: bytes, order: dict[str, Any], limits: MakerLimits) -> tuple[dict[str, Any], bytes]:
    try:
        return {}, thumbnail(data, order["size"], order["objects"], limits.pixels)
    except NotDrawn as reason:
        return {"reason": str(reason)}, b""


if __name__ == "__main__":
    sys.exit(main())
