"""Inference services: start, stop, scale, test, and calling them at their stable address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import httpx2

from yard.api.group import Group
from yard.errors import YardError
from yard.http import joined
from yard.shapes import LogPart, Replica, Service, TestAnswer
from yard.waiting import until


class Services(Group[Service]):
    """`/services`, and the data plane below `/serve/`."""

    collection, noun = "services", "service"

    def edit(
        self,
        id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        visibility: str | None = None,
        preemptible: bool | None = None,
        spread: bool | None = None,
        resources: Mapping[str, Any] | None = None,
        priority: int | None = None,
        priority_class: str | None = None,
    ) -> Service:
        """Change the name, the description, who may see and call it, and for replicas that start from now on whether
        they may end for more urgent work, whether each has a node of its own, what each gets, and who goes first."""
        terms: dict[str, Any] = {
            "preemptible": preemptible,
            "spread": spread,
            "resources": resources and dict(resources),
        }
        terms |= {"priority": priority, "priority_class": priority_class}
        return self._edit(id, {"name": name, "description": description, "visibility": visibility, **terms})

    def start(self, id: str, replicas: int = 1) -> Service:
        """Start that many replicas."""
        return self._verb(id, "start", {"replicas": replicas}, leads_to=["starting", "running"])

    def stop(self, id: str) -> Service:
        """No replica any more; the address stays."""
        return self._verb(id, "stop")

    def scale(self, id: str, replicas: int) -> Service:
        """Change the number of replicas while it runs."""
        return self._verb(id, "scale", {"replicas": replicas})

    def test(self, id: str, inputs: Mapping[str, Any] | None = None) -> TestAnswer:
        """Call it once with the interface's test values, or with `inputs`."""
        return cast(TestAnswer, self._http.act(self._at(id, "test"), {"inputs": dict(inputs)} if inputs else {}))

    def replicas(self, id: str) -> list[Replica]:
        """Its replicas."""
        return list(self._http.pages(self._at(id, "replicas")))

    def replica_log(self, id: str, replica: str, *, offset: int = 0) -> LogPart:
        """The log of one replica from `offset` (bytes) to where it is now."""
        answer = self._http.send("GET", self._at(id, "replicas", replica, "log"), params={"offset": offset})
        after = answer.headers.get("x-next-offset")
        return {"text": answer.text, "next_offset": int(after) if after else offset + len(answer.content)}

    def wait_for(self, id: str, *, timeout: float | None = 60.0) -> Service:
        """Wait until a service that publishing promised exists. Raises YardError (`timeout`)."""
        seen = until(
            self._http.hour,
            lambda: self._look(id),
            lambda found: found is not None,
            timeout=timeout,
            what=f"service {id}",
        )
        return cast(Service, seen)

    def wait(
        self,
        id: str,
        *,
        ready: int | None = None,
        state: str = "running",
        progress: Callable[[Service], None] | None = None,
        timeout: float | None = None,
    ) -> Service:
        """Wait until it is in `state`, with `ready` replicas (unless told: all that are wanted).

        Raises YardError (`service_failed`, `timeout`).
        """

        def done(seen: Service) -> bool:
            enough = ready if ready is not None else seen.get("replicas", 0)
            return seen["state"] == "failed" or (seen["state"] == state and seen.get("ready", 0) == enough)

        ended = until(
            self._http.hour, lambda: self.show(id), done, progress=progress, timeout=timeout, what=f"service {id}"
        )
        if ended["state"] == "failed" != state:
            why = ended.get("detail") or "see the log of its replicas"
            raise YardError("service_failed", f"Service {ended['name']!r} failed: {why}")
        return ended

    def call(
        self,
        service: Service,
        inputs: Mapping[str, Any],
        *,
        timeout: float | None = None,
    ) -> httpx2.Response:
        """Call its declared interface: inputs of type File are bytes, others plain values. Raises YardError, too, for
        what the service or the platform answers with a status of 400 and above; it is sent once."""
        interface = service.get("interface") or {}
        path = f"/serve/{joined([service['id']])}/{str(interface.get('path') or '').lstrip('/')}"
        sent = arranged(str(interface.get("style") or "json"), inputs)
        return self._http.send(str(interface.get("method") or "POST"), path, **sent, repeat=False, patience=0.0)

    def _look(self, id: str) -> Service | None:
        try:
            return self.show(id)
        except YardError as error:
            if error.status == 404:
                return None
            raise


def arranged(style: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs as an interface of that style takes them: `params`, `json`, `form` or `file`."""
    if style == "params":
        return {"params": dict(inputs)}
    if style == "form":
        return {"data": dict(inputs)}
    if style == "file":
        files = {name: (name, value) for name, value in inputs.items() if isinstance(value, bytes)}
        rest = {name: value for name, value in inputs.items() if not isinstance(value, bytes)}
        return {"files": files, **({"data": rest} if rest else {})}
    return {"json": dict(inputs)}
