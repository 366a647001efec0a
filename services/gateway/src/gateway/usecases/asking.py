"""Questions of the gateway's own to the services, with the rights of whoever asks it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from common.kernel.errors import BadUpstream, Unavailable
from common.web.calls import Relayed
from common.web.identity import Principal
from gateway.context import Context
from gateway.upstreams import Upstream, ask


class Asking:
    """Questions on behalf of one caller; `more` are upstreams beside the gateway's, by name."""

    def __init__(self, context: Context, who: Principal, more: Mapping[str, Upstream] | None = None) -> None:
        self._upstreams = {**context.upstreams, **(more or {})}
        self._seconds = context.settings.part_seconds
        self._headers = [(b"authorization", context.authenticator.internal(who))]

    @property
    def services(self) -> list[str]:
        """Everybody who can be asked."""
        return sorted(self._upstreams)

    async def of(
        self,
        service: str,
        path: str,
        query: Mapping[str, str] | None = None,
        post: Any = None,
        seconds: float | None = None,
    ) -> Any:
        """The JSON that a service answers at `/api/v1/<path>`; `seconds` is how long to wait where not as usual.

        Raises the problem that was answered, or Unavailable.
        """
        seconds = seconds or self._seconds
        upstream = self._upstreams.get(service)
        if upstream is None:
            raise Unavailable("service_unavailable", f"{service} is not part of this installation.")
        path = f"/api/v1/{path}"
        try:
            async with asyncio.timeout(seconds):
                answer = await ask(upstream, path, query=urlencode(query or {}), headers=self._headers, post=post)
        except TimeoutError:
            raise Unavailable("service_unavailable", f"{service} took longer than {seconds:g} s.") from None
        if answer.status == 200 and isinstance(answer.body, dict):
            return answer.body
        if isinstance(answer.body, dict) and "code" in answer.body:
            raise Relayed(answer.status, answer.body)
        raise BadUpstream("bad_answer", f"{service} answered {answer.status} to {path}.")
