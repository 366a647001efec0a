"""Where traces begin: every request gets a trace, its id in the answer, and a `traceparent` to pass on.

Requests to the services get a span. Calls of the data plane get one only where spans are exported: at its speed even
an idle span shows.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Scope

from gateway.proxy.headers import header

_HEX = frozenset(b"0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace's id, and the W3C `traceparent` under which whatever comes next is its part."""

    id: bytes
    parent: bytes


TraceOf = Callable[[Scope], Trace]


def trace_of(scope: Scope) -> Trace:
    """The client's trace, or a new one (W3C Trace Context §3.2)."""
    given = header(scope["headers"], b"traceparent")
    if given is not None and _is_traceparent(given):
        return Trace(given[3:35], given)
    return new_trace()


def new_trace() -> Trace:
    """A trace that begins here. Ids need be unique, not secret."""
    trace_id = b"%032x" % (random.getrandbits(128) or 1)
    return Trace(trace_id, b"00-%b-%016x-01" % (trace_id, random.getrandbits(64) or 1))


def _is_traceparent(value: bytes) -> bool:
    parts = value.split(b"-")
    if len(parts) != 4 or [len(part) for part in parts] != [2, 32, 16, 2] or parts[0] == b"ff":
        return False
    return _HEX.issuperset(b"".join(parts)) and parts[1].strip(b"0") != b"" and parts[2].strip(b"0") != b""


def exports() -> bool:
    """Whether spans leave this process."""
    return bool(os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"))
