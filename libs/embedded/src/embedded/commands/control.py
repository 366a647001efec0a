"""`up`, `down` and `status`: the platform in the background."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from common.files.local import LocalFiles
from common.hosting.workplaces import open_workplace
from common.kernel.clock import SystemClock
from common.kernel.errors import Unavailable
from common.ports.runtime import WorkloadState
from embedded.lock import Running, is_locked, who_runs
from embedded.settings import Settings

START_SECONDS = 60.0
STOP_SECONDS = 30.0
LOG_LINES = 15


def start(settings: Settings) -> Running:
    """Start the platform in the background and wait until it answers. Raises Unavailable (`not_started`)."""
    home = settings.home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"YARD_HOME": str(home), "YARD_PORT": str(settings.port), "YARD_HOST": settings.host}
    with (home / "platform.log").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "embedded", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        if (running := who_runs(home)) is not None and running.pid == child.pid:
            return running
        time.sleep(0.05)
    child.kill()
    lines = (home / "platform.log").read_text(errors="replace").splitlines()[-LOG_LINES:]
    told = "\n  ".join(lines)
    raise Unavailable("not_started", f"The platform did not start. The end of {home / 'platform.log'}:\n  {told}")


def up() -> int:
    """Start it unless it runs, and say where it is and how to log in."""
    settings = Settings()
    running = who_runs(settings.home)
    if running is None:
        running = start(settings)
    home = settings.home.absolute()
    print(f"Modelyard answers at {running.address} (process {running.pid})")
    print(f"State: {home}   Log: {home / 'platform.log'}")
    print(f"Log in as admin with the password in {password_file(home)}:")
    print(f"  .venv/bin/yard login {running.address} --name admin --password-file {password_file(home)}")
    return 0


def password_file(home: Path) -> Path:
    """Where the first administrator's password was written."""
    return home / "admin-password"


def down(*, workloads: bool = False) -> int:
    """Stop it and wait until it is gone; with `workloads` end what it runs as well."""
    settings = Settings()
    stop(settings)
    if workloads:
        ended = asyncio.run(end_workloads(settings.home, settings.runtime_url))
        print(f"Ended {ended} running workload(s).")
    return 0


def stop(settings: Settings, *, quietly: bool = False) -> None:
    """Stop the platform of a state folder; none running is fine. Raises Unavailable (`not_stopped`)."""
    say = (lambda _: None) if quietly else print
    running = who_runs(settings.home)
    if running is None and not is_locked(settings.home):
        say("Modelyard is not running.")
        return
    if running is not None:
        os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while is_locked(settings.home):
        if time.monotonic() > deadline:
            raise Unavailable("not_stopped", f"It has not stopped within {STOP_SECONDS:.0f} s; its log may say why.")
        time.sleep(0.05)
    say("Modelyard is stopped; its state stays, and so do running jobs and services.")


async def end_workloads(home: Path, runtime_url: str = "") -> int:
    """End every workload of a state folder whose platform is not running; gives how many ran."""
    files, settings = LocalFiles(home.absolute() / "files"), Settings(home=home)
    place = open_workplace(runtime_url or "process:", settings, files, SystemClock())
    runtime = place.runtime
    await runtime.start()
    ended = 0
    for handle in await runtime.handles():
        if (await runtime.observe(handle)).state in (WorkloadState.STARTING, WorkloadState.RUNNING):
            ended += 1
            await runtime.stop(handle, 0)
            while (await runtime.observe(handle)).state in (WorkloadState.STARTING, WorkloadState.RUNNING):
                await asyncio.sleep(0.02)
    await runtime.close()
    await place.staging.close()
    await files.close()
    return ended


def status() -> int:
    """Say whether it runs, and where; exit code 3 where it does not."""
    settings = Settings()
    running = who_runs(settings.home)
    if running is None:
        print(f"Modelyard is not running on {settings.home.absolute()}.")
        return 3
    print(f"Modelyard answers at {running.address} (process {running.pid}), state in {settings.home.absolute()}")
    return 0
