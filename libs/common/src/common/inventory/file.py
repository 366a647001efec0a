"""An inventory that is declared in a file, and followed while it is edited."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog

from common.inventory.declared import parse_declared
from common.kernel.accelerators import BUILT_IN, Accelerator
from common.kernel.errors import Invalid, Unavailable
from common.ports.inventory import Node

log = structlog.get_logger("inventory")

Sign = tuple[int, ...]


class FileInventory:
    """The nodes that a file declares (YAML or JSON). It is read again where it changed.

    A broken edit changes nothing: what was read last stays, and `problems` (and the log) say what is wrong with the
    new one, fault by fault. Nodes are Unavailable (`inventory_unread`) only where nothing good was read yet.
    """

    def __init__(self, path: Path, kinds: Sequence[Accelerator] = BUILT_IN) -> None:
        self.path = path
        self.problems: tuple[str, ...] = ()
        self._kinds = tuple(kinds)
        self._sign: Sign | None = None
        self._nodes: tuple[Node, ...] | None = None

    async def nodes(self) -> Sequence[Node]:
        """What it declares, or declared last. Raises Unavailable."""
        await asyncio.to_thread(self._follow)
        if self._nodes is None:
            raise Unavailable("inventory_unread", " ".join(self.problems))
        return self._nodes

    def _follow(self) -> None:
        try:
            told = self.path.stat()
            sign = (told.st_mtime_ns, told.st_ctime_ns, told.st_size, told.st_ino)
            if sign == self._sign:
                return
            nodes = parse_declared(self.path.read_text(encoding="utf-8"), self._kinds)
        except OSError as error:
            self._sign = None
            self._doubt([f"{self.path}: it can't be read: {error.strerror or error}."])
        except UnicodeDecodeError as error:
            self._sign = sign
            self._doubt([f"{self.path}: it is no UTF-8: {error}."])
        except Invalid as wrong:
            self._sign = sign
            self._doubt([f"{self.path}, {fault.where}: {fault.reason}" for fault in wrong.faults])
        else:
            self._sign, self._nodes, self.problems = sign, nodes, ()
            log.info("declared inventory read", path=str(self.path), nodes=len(nodes))

    def _doubt(self, problems: Sequence[str]) -> None:
        if self._nodes is not None:
            problems = [*problems, "What was declared before stays in force."]
        if tuple(problems) != self.problems:
            log.warning("declared inventory is not taken", path=str(self.path), problems=list(problems)[:20])
        self.problems = tuple(problems)
