"""Nodes, and what named resource specs mean on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from yard.http import Http, joined
from yard.shapes import Node, ResourceSpec


class Nodes:
    """`/nodes`. Every method raises YardError; marking nodes takes an administrator."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(
        self, *, cluster: str | None = None, state: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Node]:
        """The nodes, their devices and what of them is free; of a cluster, in a state, with all of these labels."""
        return [*self.look(cluster=cluster, state=state, labels=labels)[0]]

    def look(
        self, *, cluster: str | None = None, state: str | None = None, labels: Mapping[str, str] | None = None
    ) -> tuple[Sequence[Node], Sequence[str]]:
        """As `list`, and what is wrong with the inventory, for administrators: then the list may be old, or a part."""
        label = [f"{key}={value}" for key, value in (labels or {}).items()]
        told = self._http.get("nodes", {"cluster": cluster, "state": state, "label": label or None})
        return told["items"], told.get("problems", ())

    def show(self, name: str) -> Node:
        """One node."""
        return cast(Node, self._http.get(f"nodes/{joined([name])}"))

    def cordon(self, name: str, reason: str = "") -> Node:
        """Let it take nothing new."""
        return self._mark(name, "cordon", {"reason": reason})

    def drain(self, name: str, reason: str = "", grace_seconds: float | None = None) -> Node:
        """Let it take nothing new, and ask what runs there to end within so many seconds."""
        grace = {} if grace_seconds is None else {"grace_seconds": grace_seconds}
        return self._mark(name, "drain", {"reason": reason, **grace})

    def uncordon(self, name: str) -> Node:
        """Let it take work again."""
        return self._mark(name, "uncordon")

    def fence(self, name: str) -> Node:
        """Confirm that a lost node is dead: what was revoked on it is free."""
        return self._mark(name, "fence")

    def _mark(self, name: str, verb: str, body: Mapping[str, Any] | None = None) -> Node:
        return cast(Node, self._http.act(f"nodes/{joined([name])}/{verb}", body))


class ResourceSpecs:
    """`/resource-specs`. Every method raises YardError; saying what a name means takes an administrator."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self) -> list[ResourceSpec]:
        """Every named spec, with what it means on each cluster."""
        return list(self._http.pages("resource-specs"))

    def say(self, name: str, meaning: Mapping[str, Any], cluster: str | None = None) -> ResourceSpec:
        """Say what a name means from now on, on one cluster or wherever that has no meaning of its own."""
        answer = self._http.send("PUT", f"resource-specs/{joined([name])}", json=meaning, params={"cluster": cluster})
        return cast(ResourceSpec, answer.json())

    def unsay(self, name: str, cluster: str | None = None) -> None:
        """Take back what was said: what is built in, or a setting, holds again."""
        self._http.send("DELETE", f"resource-specs/{joined([name])}", params={"cluster": cluster})
