"""Nodes that an administrator declares in a file: clusters, nodes, devices, labels. Pure: text in, nodes out.

    clusters:
      hall-a:
        nodes:
          - name: a100-[1-16]      # sixteen of the same kind
            cpu: 64
            memory: 512Gi
            domain: ib-1           # what the fast interconnect spans
            labels: {disk: nvme}
            devices:
              - {kind: gpu, model: NVIDIA A100-SXM4-80GB, memory: 80Gi, count: 8}

With `simulated: true` a cluster, a node or devices are declared only, and are marked as such wherever they show.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from common.inventory.marked import Marked, Reader, compose
from common.kernel.accelerators import BUILT_IN, Accelerator
from common.kernel.errors import Fault, Invalid
from common.kernel.labels import label_faults, node_name_fault
from common.ports.inventory import Device, Node

MOST_NODES = 100_000
MOST_DEVICES = 1024
"""How many devices one entry may declare."""

_CLUSTER = ("nodes", "labels", "domain", "simulated")
_NODE = ("name", "cpu", "memory", "domain", "labels", "devices", "simulated")
_DEVICE = ("kind", "model", "memory", "count", "ids", "simulated")
_RANGE = re.compile(r"([^\[\]]*)\[([0-9]{1,6})-([0-9]{1,6})\]([^\[\]]*)\Z")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_/-]{0,55}\Z")


def parse_declared(text: str, kinds: Sequence[Accelerator] = BUILT_IN) -> tuple[Node, ...]:
    """The declared nodes, by name. Raises Invalid (`bad_inventory`) with every fault, each with line and field."""
    reading = _Reading({name: one for one in kinds for name in (one.kind, one.resource)})
    try:
        reading.document(compose(text))
    except Invalid as unreadable:
        raise _bad(unreadable.faults) from unreadable
    if reading.reader.faults:
        raise _bad(reading.reader.faults)
    return tuple(sorted(reading.nodes, key=lambda node: node.name))


def _bad(faults: Iterable[Fault]) -> Invalid:
    told = list(faults)
    said = "; ".join(f"{fault.where}: {fault.reason}" for fault in told[:3])
    more = f"; and {len(told) - 3} more" if len(told) > 3 else ""
    return Invalid("bad_inventory", f"The declared inventory has {len(told)} fault(s): {said}{more}", faults=told)


@dataclass(frozen=True)
class _Usual:
    """What a cluster says for all of its nodes."""

    cluster: str
    domain: str
    labels: dict[str, str]
    simulated: bool


@dataclass
class _Reading:
    """One document, half read. `kinds` by both of their names."""

    kinds: dict[str, Accelerator]
    reader: Reader = field(default_factory=Reader)
    nodes: list[Node] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def document(self, top: Marked) -> None:
        """All clusters."""
        clusters = self.reader.mapping(top, ("clusters",)).get("clusters")
        if clusters is None:
            self.reader.fault(top, "It has no clusters.")
            return
        for name, at in self.reader.mapping(clusters).items():
            if wrong := node_name_fault(name):
                self.reader.fault(at, wrong)
            self._cluster(name, at)

    def _cluster(self, name: str, at: Marked) -> None:
        fields, read = self.reader.mapping(at, _CLUSTER), self.reader
        usual = _Usual(
            name,
            read.text(fields.get("domain")),
            self._labels(fields.get("labels")),
            read.truth(fields.get("simulated")),
        )
        for node in read.items(fields.get("nodes")):
            self._node(usual, node)

    def _node(self, usual: _Usual, at: Marked) -> None:
        read, fields = self.reader, self.reader.mapping(at, _NODE)
        for missing in ("name", "cpu", "memory"):
            if fields and missing not in fields:
                read.fault(at, f"It does not say its {missing}.")
        simulated = read.truth(fields.get("simulated"), usual.simulated)
        one = Node(
            "",
            cpu=read.number(fields.get("cpu"), 0, 1.0),
            memory=read.amount(fields.get("memory")),
            devices=self._devices(fields.get("devices"), simulated),
            labels=usual.labels | self._labels(fields.get("labels")),
            cluster=usual.cluster,
            domain=read.text(fields.get("domain"), usual.domain),
            simulated=simulated,
        )
        if "name" in fields:
            for name in self._names(fields["name"]):
                self.nodes.append(Node(**{**one.__dict__, "name": name}))

    def _names(self, at: Marked) -> list[str]:
        """One name, or those of a range such as `a100-[01-16]`."""
        text, found = self.reader.text(at), []
        for name in _spread(text):
            wrong = node_name_fault(name) or (f"{name!r} is there already." if name in self.names else None)
            if wrong or len(self.names) >= MOST_NODES:
                self.reader.fault(at, wrong or f"At most {MOST_NODES} nodes can be declared.")
                break
            self.names.add(name)
            found.append(name)
        if not found and not text:
            self.reader.fault(at, "A node needs a name.")
        return found

    def _labels(self, at: Marked | None) -> dict[str, str]:
        if at is None:
            return {}
        labels = {name: self.reader.text(value) for name, value in self.reader.mapping(at).items()}
        for fault in label_faults(labels, at.where):
            self.reader.fault(Marked(at.node, fault.where), fault.reason)
        return labels

    def _devices(self, at: Marked | None, simulated: bool) -> tuple[Device, ...]:
        found: list[Device] = []
        numbers: Counter[str] = Counter()
        for entry in self.reader.items(at):
            for device in self._entry(entry, simulated, numbers):
                if any(device.id == other.id for other in found):
                    self.reader.fault(entry, f"The device {device.id} is there already.")
                found.append(device)
        return tuple(found)

    def _entry(self, at: Marked, simulated: bool, numbers: Counter[str]) -> list[Device]:
        read, fields = self.reader, self.reader.mapping(at, _DEVICE)
        named = read.text(fields.get("kind"), "gpu")
        kind = self.kinds.get(named)
        if kind is None:
            here = fields["kind"]
            there_are = ", ".join(sorted({one.kind for one in self.kinds.values()}))
            read.fault(here, f"There is no kind {named!r}; there are {there_are}. YARD_ACCELERATORS adds others.")
            return []
        memory = read.amount(fields.get("memory"))
        simulated = read.truth(fields.get("simulated"), simulated)
        model = read.text(fields.get("model")) or (f"simulated {kind.kind}" if simulated else kind.resource)
        ids = self._ids(fields, numbers[kind.kind])
        numbers[kind.kind] += len(ids)
        return [Device(f"{kind.kind}-{one}", kind.kind, model, memory, simulated, kind.resource) for one in ids]

    def _ids(self, fields: dict[str, Marked], first: int) -> list[str]:
        """What the vendor's libraries call the devices: as told, or counted on."""
        if "ids" not in fields:
            return [str(first + n) for n in range(self.reader.count(fields.get("count"), MOST_DEVICES, 1))]
        if "count" in fields:
            self.reader.fault(fields["count"], "Say ids or a count, not both.")
        found = [(one, self.reader.text(one)) for one in self.reader.items(fields["ids"])]
        for at, told in found:
            if not _ID.match(told):
                self.reader.fault(at, "It is a number such as 0, or a UUID such as MIG-….")
        return [told for _, told in found]


def _spread(text: str) -> Iterable[str]:
    match = _RANGE.match(text)
    if match is None:
        return [text] if text else []
    before, first, last, after = match.groups()
    width = len(first) if first.startswith("0") else 0
    if int(last) < int(first) or int(last) - int(first) >= MOST_NODES:
        return [text]  # whose brackets no name may have
    return (f"{before}{number:0{width}d}{after}" for number in range(int(first), int(last) + 1))
