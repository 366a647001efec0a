"""A service as a process of its own: begins when its dependencies do, in whatever order, and ends politely."""

from __future__ import annotations

import argparse
import asyncio
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
from common.hosting.listening import Listening, listeners, settle, told_to_stop
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
    stop = told_to_stop()
    try:
        with listeners(settings) as sockets:
            outside = open_outside(settings, alone.name)
            service = alone.build(outside.platform, settings)
            health = Health(alone.name, [service], watches(alone.needs, outside))
            await _Life(alone, settings, outside, service, health, Listening(settings, health, sockets)).until(stop)
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


@dataclass
class _Life:
    """One run of a service."""

    alone: Alone
    settings: Settings
    outside: Outside
    service: Service
    health: Health
    listening: Listening

    async def until(self, stop: asyncio.Event) -> None:
        """Listen, begin, work until `stop`, and end in the order in which nothing is lost."""
        watching = [asyncio.create_task(watch.run(), name=f"watch {watch.name}") for watch in self.health.watches]
        house = AsyncExitStack()
        beginning = asyncio.create_task(self._begin(house), name="begin")
        stopped = asyncio.create_task(stop.wait())
        self.listening.start()
        log.info("listening", service=self.alone.name, address=self.listening.address)
        try:
            await asyncio.wait({beginning, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not stopped.done():
                beginning.result()
                settle()
                self.listening.open(self.service.app)
            await stopped
        finally:
            await self._end(house, beginning, stopped)
            await _cancelled(*watching)
            await self.outside.close()
            log.info("stopped", service=self.alone.name)

    async def _end(self, house: AsyncExitStack, *tasks: asyncio.Task[Any]) -> None:
        self.health.stopping = True
        await _cancelled(*tasks)
        await asyncio.sleep(self.settings.drain_seconds)
        await self.service.drain()
        await self.listening.stop()
        await house.aclose()

    async def _begin(self, house: AsyncExitStack) -> None:
        """Do what comes before work, each step as soon as what it needs is there."""
        for what, step in self.outside.steps(self.alone.needs):
            await self._patiently(what, step)
        await house.enter_async_context(run(self.outside.platform, [self.service], self._patiently))
        self.health.waits_for = None
        log.info("working", service=self.alone.name, instance=self.outside.platform.instance)

    async def _patiently(self, what: str, do: Callable[[], Awaitable[None]]) -> None:
        before = ""
        self.health.waits_for = f"{what} is under way"
        while True:
            try:
                return await do()
            except (Problem, OSError, DBAPIError) as error:
                if not may_pass(error):
                    raise
                reason = self.health.waits_for = f"{what} must wait: {told(error)}"
            if reason != before:
                log.warning("waiting to begin", service=self.alone.name, reason=reason)
            before = reason
            await asyncio.sleep(AGAIN_SECONDS)


def may_pass(error: Exception) -> bool:
    """Whether waiting can help: what is not there may come; what is wrong stays wrong."""
    if isinstance(error, Problem):
        return error.status >= 500
    return not isinstance(error, ProgrammingError | IntegrityError | DataError)


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
