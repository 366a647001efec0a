"""`demo`: a platform of its own, and the main job on it with the client, as a user would do it."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from pathlib import Path

from embedded.commands.control import end_workloads, password_file, start, stop
from embedded.settings import Settings
from yard import Client
from yard.demo import run


def demo(*, keep: bool = False) -> int:
    """Start a platform on a free port and a fresh state folder, run the journey, clean up; 0 if it went well."""
    base = Settings()
    home = Path(".cache") / f"demo-{time.strftime('%Y%m%d-%H%M%S')}"
    settings = base.model_copy(update={"home": home, "port": 0})
    print(f"Starting Modelyard on {home} ...", flush=True)
    began = time.monotonic()
    running = start(settings)
    print(f"It answers at {running.address} after {time.monotonic() - began:.1f} s.", flush=True)
    succeeded = False
    try:
        password = password_file(home).read_text().strip()
        with Client(running.address) as client:
            client.login("admin", password)
            code = run(client)
        succeeded = code == 0
        return code
    finally:
        if keep:
            print(f"Kept: {running.address}, state in {home}. Stop it with YARD_HOME={home} make down.")
        else:
            _clean(settings, remove=succeeded)


def _clean(settings: Settings, *, remove: bool) -> None:
    stop(settings, quietly=True)
    asyncio.run(end_workloads(settings.home, settings.runtime_url))
    if remove:
        shutil.rmtree(settings.home)
    else:
        print(f"The state and log of the failed run are in {settings.home}.", file=sys.stderr)
