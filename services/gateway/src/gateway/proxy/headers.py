"""Which headers cross the gateway, and which end here."""

from __future__ import annotations

from collections.abc import Iterable

Headers = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""They speak of one connection only (RFC 9110 §7.6.1)."""

CLAIMS = frozenset({b"authorization", b"cookie", b"forwarded", b"x-real-ip", b"x-api-key", b"remote-user"})
"""Credentials, and what only a proxy may claim."""

CLAIMING = (b"x-forwarded-", b"x-yard-", b"x-modelyard-", b"x-auth-", b"x-remote-", b"x-user", b"x-principal")
"""Beginnings of headers by which somebody behind us might be told who asks: they are ours to set."""

NOT_PASSED_ON = HOP_BY_HOP | CLAIMS | {b"host", b"expect", b"traceparent"}
"""The trace goes on under a `traceparent` of the gateway's."""
NOT_PASSED_BACK = HOP_BY_HOP | {b"set-cookie", b"date", b"server"}
"""A replica's cookies would be sent to every other service of this address; date and server are the server's own."""

_USUAL_CONNECTION = (b"keep-alive", b"close", b"Keep-Alive", b"Close")


def passed_on(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """What a part behind the gateway gets of a client's headers."""
    kept: Headers = []
    named: frozenset[bytes] = frozenset()
    chunked = False
    for name, value in headers:
        if name not in NOT_PASSED_ON:
            if not name.startswith(CLAIMING):
                kept.append((name, value))
        elif name == b"connection":
            named = named_by(value) if value not in _USUAL_CONNECTION else named
        elif name == b"transfer-encoding":
            chunked = True
    if chunked:  # it overrides a content-length (RFC 9112 §6.3); both together are how requests are smuggled
        named |= {b"content-length"}
    return [pair for pair in kept if pair[0] not in named] if named else kept


def passed_back(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """What a client gets of the headers of a part behind the gateway, in lower case."""
    lowered = [(name.lower(), value) for name, value in headers]
    named = frozenset[bytes]().union(*(named_by(v) for n, v in lowered if n == b"connection"))
    return [pair for pair in lowered if pair[0] not in NOT_PASSED_BACK and pair[0] not in named]


def named_by(connection: bytes) -> frozenset[bytes]:
    """The headers that a Connection header declares to be of that connection only."""
    return frozenset(name.strip().lower() for name in connection.split(b","))


def header(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bytes | None:
    """The first header of that (lower-case) name."""
    for name, value in headers:
        if name == wanted:
            return value
    return None
