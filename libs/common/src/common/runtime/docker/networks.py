"""A network for every owner, in which only that owner's workloads are, and from which the platform can't be reached.

The network is internal: it leads nowhere, not to other owners' either. Who speaks to replicas is this machine, which
then has an address on it, and a packet filter that drops every connection that comes from there; or gateways in
containers, which join it, and then this machine has no address on it at all.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import os
import shutil
import subprocess
from http import HTTPStatus
from typing import Any

import structlog

from common.docker import Daemon, Refused
from common.kernel.errors import Unavailable
from common.runtime.docker import routes
from common.runtime.docker.container import INSTANCE, OWNER
from common.runtime.docker.settings import DockerSettings

log = structlog.get_logger("docker")

PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between tries to make a network, where Docker's packet filter is being changed by somebody else."""
_PREFIX = 26
_TRIES = 64


class Networks:
    """The owners' networks of one runtime, `instance`."""

    def __init__(self, daemon: Daemon, instance: str, settings: DockerSettings) -> None:
        self._daemon, self._instance, self._settings = daemon, instance, settings
        self._known: set[str] = set()
        self._lock = asyncio.Lock()
        self._guarding: asyncio.Task[None] | None = None

    @property
    def interfaces(self) -> str:
        """What the names of its bridges begin with (at most 15 characters, netdevice(7))."""
        return f"yd{self._instance[:5]}"

    def name(self, owner: str) -> str:
        """The network's name: the owner itself may be no name."""
        return f"yard-{self._instance}-{_short(owner)}"

    async def ensure(self, owner: str) -> str:
        """The owner's network, made by the first who asks. Raises Unavailable."""
        name = self.name(owner)
        async with self._lock:
            if name not in self._known:
                await self._guard_safely()
                if not await self._daemon.network(name):
                    await self._make(name, owner)
                await self._attach(name)
                self._known.add(name)
        return name

    async def _make(self, name: str, owner: str) -> None:
        for subnet in await self._free(owner):
            try:
                await self._create(self._config(name, owner, subnet))
            except Refused as refused:
                if refused.status == 409:
                    return  # another process was faster
                if "overlap" not in refused.message.lower():
                    raise Unavailable("no_network", f"{owner} has no network: {refused.message}.") from refused
            else:
                return
        raise Unavailable(
            "no_network", f"No addresses are left in {self._settings.pool}; give the runtime a larger pool."
        )

    async def _create(self, config: dict[str, Any]) -> None:
        """Ask Docker for it, and again where it stumbles over its packet filter: it takes its own rules out and puts
        them in again, and another engine, or a firewall that is loaded anew, does so at the same moment. Raises
        Refused."""
        for pause in PAUSES:
            try:
                return await self._daemon.create_network(config)
            except Refused as refused:
                if refused.status != HTTPStatus.INTERNAL_SERVER_ERROR or "iptables" not in refused.message:
                    raise
                log.info("making a network again", network=config["Name"], reason=refused.message)
                await asyncio.sleep(pause)
        return await self._daemon.create_network(config)

    async def _free(self, owner: str) -> list[str]:
        """Subnets to try, the owner's own first choice before the next ones, without those that Docker uses. Where the
        engine is on this machine, also without those that it has for something else, of which Docker knows nothing:
        another engine's, a private network's."""
        networks = await self._daemon.networks()
        used = [ipaddress.ip_network(part["Subnet"]) for one in networks for part in one["IPAM"]["Config"] or ()]
        pool = ipaddress.ip_network(self._settings.pool)
        if self._daemon.url.startswith("unix:"):  # a wider route only leads through here
            used += [one for one in routes.known() if one.prefixlen > pool.prefixlen]
        every = list(pool.subnets(new_prefix=_PREFIX))
        start = int(_short(owner), 16) % len(every)
        free = [one for one in every[start:] + every[:start] if not any(_overlap(one, other) for other in used)]
        return [str(one) for one in free[:_TRIES]]

    def _config(self, name: str, owner: str, subnet: str) -> dict[str, Any]:
        options = {"com.docker.network.bridge.name": f"{self.interfaces}{_short(owner)}"}
        if self._settings.reached_by == "gateway":
            options["com.docker.network.bridge.inhibit_ipv4"] = "true"
        return {
            "Name": name,
            "CheckDuplicate": True,
            "Driver": "bridge",
            "Internal": not self._settings.internet,
            "IPAM": {"Config": [{"Subnet": subnet}]},
            "Labels": {INSTANCE: self._instance, OWNER: owner},
            "Options": options,
        }

    async def look_again(self) -> None:
        """Guard this machine and let gateways in, wherever an owner has a network. Raises Unavailable."""
        self._known.clear()
        networks = await self._daemon.networks(f"{INSTANCE}={self._instance}")
        if networks:
            await self._guard_safely()
        for network in networks:
            await self._attach(network["Name"])

    async def _guard_safely(self) -> None:
        """Guard in a thread, which `settled` awaits also where whoever asked has given up."""
        self._guarding = asyncio.create_task(asyncio.to_thread(self.guard))
        await asyncio.shield(self._guarding)

    async def settled(self) -> None:
        """Return when nothing is being done to the packet filter."""
        if self._guarding is not None:
            await asyncio.gather(self._guarding, return_exceptions=True)

    async def _attach(self, name: str) -> None:
        if self._settings.reached_by != "gateway":
            return
        for one in await self._daemon.containers(self._settings.gateway_label):
            if name in one["NetworkSettings"]["Networks"]:
                continue
            try:
                await self._daemon.join(name, one["Id"])
            except Refused as refused:
                if refused.status not in (403, 404):  # it joined meanwhile, or is gone
                    log.warning("a gateway can't join a network", network=name, reason=refused.message)

    async def give_up(self) -> None:
        """Remove every owner's network and the guard; refused by Docker while a workload is in one."""
        for network in await self._daemon.networks(f"{INSTANCE}={self._instance}"):
            await self._daemon.delete_network(network["Id"])
        self._known.clear()
        await self.settled()
        await asyncio.to_thread(self.unguard)

    def guarded(self) -> str:
        """Why this machine isn't guarded from workloads; empty where it is."""
        if self._settings.reached_by == "gateway":
            return ""
        if os.geteuid() != 0 or shutil.which("iptables") is None:
            return "Workloads can reach this machine's own servers: only root can set the packet filter (iptables)."
        return ""

    def guard(self) -> None:
        """Drop every connection that workloads begin to this machine; answers to its own pass. Done again where
        somebody has emptied the filter. Raises Unavailable (`no_guard`)."""
        if self._settings.reached_by == "gateway" or self.guarded():
            return
        rule = ["INPUT", "-i", f"{self.interfaces}+", "-m", "conntrack", "!", "--ctstate", "ESTABLISHED,RELATED"]
        rule += ["-j", "DROP"]
        if _iptables("-C", *rule) and (reason := _iptables("-I", *rule)):
            raise Unavailable("no_guard", f"The packet filter that keeps workloads from this machine fails: {reason}")

    def unguard(self) -> None:
        """Take the rule away; for a runtime that is given up with all its networks."""
        rule = ["INPUT", "-i", f"{self.interfaces}+", "-m", "conntrack", "!", "--ctstate", "ESTABLISHED,RELATED"]
        while not _iptables("-D", *rule, "-j", "DROP"):
            continue  # two who guarded at once may have set it twice


def _iptables(*words: str) -> str:
    """Run iptables; empty where it did, else what it said."""
    done = subprocess.run(["iptables", "-w", "20", *words], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip() or "it failed"


def _short(owner: str) -> str:
    return hashlib.sha256(owner.encode()).hexdigest()[:8]


def _overlap(one: Any, other: Any) -> bool:
    return bool(one.version == other.version and one.overlaps(other))
