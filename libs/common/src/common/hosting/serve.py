"""A service as a process of its own: begins when its dependencies do, in whatever order, and ends politely."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import structlog
import uvloop
from pydantic import ValidationError
from pydantic_settings import BaseSettings
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

from common.hosting import describe
from common.hosting.door import Health
from common.hosting.listening import Listening, settle
from common.hosting.platform import Outside, open_outside, watches
from common.hosting.settings import Needs, Settings
from common.hosting.watch import told
from common.kernel.errors import Problem
from common.service import Platform, Service, run
from common.telemetry import logs, traces

AGAIN_SECONDS = 1.0
BAD_CONFIGURATION = 2

log = structlog.get_logger("host")


@dataclass(frozen=True)
class Alone:
    """A service as its `__main__` describes it: name, front door, its own settings, and what it needs."""

    name: str
    build: Callable[[Platform, Settings], Service]
    settings: type[BaseSettings]
    needs: Needs = Needs.NOTHING


def serve(alone: Alone, arguments: list[str] | None = None) -> int:
    """Run it until SIGTERM or SIGINT; the exit code. Bad configuration is told line by line, with exit code 2."""
    package = alone.name.replace("-", "_")
    parser = argparse.ArgumentParser(
        prog=f"python -m {package}",
        description=f"{alone.name}, alone in this process. It is configured by environment:",
        epilog=describe.as_text(Settings, alone.settings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(arguments)
    settings = _configured(alone)
    if settings is None:
        return BAD_CONFIGURATION
    logs.set_up(settings.log_level, settings.log_format)
    traces.set_up(alone.name)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_host(alone, settings))


def _configured(alone: Alone) -> Settings | None:
    """The settings; None, and every fault told, where they are not good."""
    wrong: list[str] = []
    settings: Settings | None = None
    for each in (Settings, alone.settings):
        try:
            given = each()
        except ValidationError as error:
            wrong.extend(describe.faults(each, error))
        except ValueError as error:  # of a source, such as JSON that is none
            wrong.append(str(error))
        else:
            settings = given if isinstance(given, Settings) else settings
    for line in wrong:
        print(line, file=sys.stderr)  # noqa: T201 - for people
    if wrong:
        print(f"Nothing was started. {alone.name} --help lists what can be set.", file=sys.stderr)  # noqa: T201
    return None if wrong else settings


async def _host(alone: Alone, settings: Settings) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        outside = open_outside(settings, alone.name)
        service = alone.build(outside.platform, settings)
        await _live(alone, settings, outside, service, stop)
    except (Problem, OSError) as error:
        print(f"{alone.name} can't start: {_words(error)}", file=sys.stderr)  # noqa: T201 - for people
        return BAD_CONFIGURATION
    except Exception:
        log.exception("the service failed", service=alone.name)
        return 1
    return 0


def _words(error: Problem | OSError) -> str:
    if isinstance(error, Problem):
        return error.detail
    return f"{error.strerror or error} ({error.filename or 'address'})"


async def _live(alone: Alone, settings: Settings, outside: Outside, service: Service, stop: asyncio.Event) -> None:
    """Listen, begin, work until `stop`, and end in the order in which nothing is lost."""
    health = Health(alone.name, [service], watches(alone.needs, outside))
    listening = Listening(settings, health)
    background = [asyncio.create_task(watch.run(), name=f"watch {watch.name}") for watch in health.watches]
    house = AsyncExitStack()
    beginning = asyncio.create_task(_begin(alone, outside, service, health, house), name="begin")
    stopped = asyncio.create_task(stop.wait())
    try:
        listening.start()
        log.info("listening", service=alone.name, address=listening.address, instance=settings.instance)
        await asyncio.wait({beginning, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not stopped.done():
            beginning.result()
            settle()
            listening.open(service.app)
        await stopped
    finally:
        health.stopping = True
        await _cancelled(beginning, stopped)
        await service.drain()
        await asyncio.sleep(settings.drain_seconds)
        await listening.stop()
        await house.aclose()
        await _cancelled(*background)
        await outside.close()
        log.info("stopped", service=alone.name)


async def _begin(alone: Alone, outside: Outside, service: Service, health: Health, house: AsyncExitStack) -> None:
    """Do what comes before work, each step as soon as what it needs is there."""

    async def patiently(what: str, do: Callable[[], Awaitable[None]]) -> None:
        while True:
            health.waits_for = f"{what} is under way"
            try:
                return await do()
            except (Problem, OSError, DBAPIError) as error:
                if not may_pass(error):
                    raise
                health.waits_for = f"{what} must wait: {told(error)}"
            log.warning("waiting to begin", service=alone.name, reason=health.waits_for)
            await asyncio.sleep(AGAIN_SECONDS)

    for what, step in outside.steps(alone.needs):
        await patiently(what, step)
    await house.enter_async_context(run(outside.platform, [service], patiently))
    health.waits_for = None
    log.info("working", service=alone.name, instance=outside.platform.instance)


def may_pass(error: Exception) -> bool:
    """Whether waiting can help: what is not there may come; what is wrong stays wrong."""
    if isinstance(error, Problem):
        return error.status >= 500
    return not isinstance(error, ProgrammingError | IntegrityError | DataError)


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
