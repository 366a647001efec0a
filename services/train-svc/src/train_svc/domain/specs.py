"""Named resource specs (row T9): what `small` means on a cluster, said plainly where it means CPUs; and free ones.

An administrator says what a name means on one cluster, or on every one. Where there are no accelerators that could be
used, a spec means as many CPUs as it has accelerators.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from common.contracts.shared import Resources
from common.kernel.accelerators import BUILT_IN, accelerator_name
from common.kernel.errors import Fault
from common.kernel.labels import label_faults
from common.ports.inventory import Node
from train_svc.domain.job import ResourceRequest


@dataclass(frozen=True)
class Spec:
    """What a name stands for: so many accelerators a node, with so many CPUs (cores) and memory (bytes) beside them.

    Where there are no such accelerators it stands for `count` CPUs; one with none stands for `cpu` CPUs everywhere.
    `model` None is any. Nodes must have all labels in `selectors`.
    """

    count: int = 0
    accelerator: str = "gpu"
    cpu: float = 1.0
    memory: int = 0
    model: str | None = None
    nodes: int = 1
    selectors: Mapping[str, str] = field(default_factory=dict)

    def usable(self, kinds: Collection[str], devices: Collection[str]) -> list[str]:
        """The kinds of accelerators that would do, of those there are and those code runs on; the best first. A model
        is of one kind."""
        wanted = [self.accelerator] if self.model else [self.accelerator, *sorted(kinds)]
        return [kind for kind in wanted if self.count and kind in kinds and kind in devices]

    def resources(self, kind: str | None) -> Resources:
        """What it stands for with accelerators of that kind; without any, CPUs."""
        plain = Resources(
            cpu=self.cpu if kind or not self.count else float(self.count),
            memory=self.memory,
            nodes=self.nodes,
            selectors=dict(self.selectors),
        )
        update = {"accelerator": kind, "count": self.count, "model": self.model}
        return plain.model_copy(update=update) if kind else plain


DEFAULT_SPECS: Mapping[str, Spec] = {"small": Spec(1), "medium": Spec(2), "large": Spec(4)}
"""Seed 003: 1, 2 and 4 GPUs."""

DEFAULT_NAME = "small"


@dataclass(frozen=True)
class Grounds:
    """What requests are settled against: specs that mean the same everywhere, those of single clusters (by cluster and
    name), the kinds of accelerators that each cluster has, and by which names these are asked for."""

    specs: Mapping[str, Spec]
    of_clusters: Mapping[str, Mapping[str, Spec]] = field(default_factory=dict)
    clusters: Mapping[str, frozenset[str]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, specs: Mapping[str, Spec], of_clusters: Mapping[str, Mapping[str, Spec]], nodes: Iterable[Node]
    ) -> Grounds:
        """As these nodes have it."""
        clusters: dict[str, set[str]] = {}
        names = {one.kind: one.kind for one in BUILT_IN} | {one.resource: one.kind for one in BUILT_IN}
        for node in nodes:
            clusters.setdefault(node.cluster, set()).update(device.kind for device in node.devices)
            for device in node.devices:
                names |= {device.kind: device.kind, device.resource or device.kind: device.kind}
        return cls(specs, of_clusters, {name: frozenset(kinds) for name, kinds in sorted(clusters.items())}, names)

    @property
    def all_names(self) -> list[str]:
        """Every name that a spec has anywhere."""
        return sorted({*self.specs, *(name for specs in self.of_clusters.values() for name in specs)})

    def meanings(self, name: str, cluster: str | None = None) -> dict[str, Spec]:
        """What a name means on each cluster where it means something, or on this one alone. Where no cluster is known
        it is asked for what it means anywhere."""
        found: dict[str, Spec] = {}
        for one in [cluster] if cluster is not None else (list(self.clusters) or [""]):
            spec = self.of_clusters.get(one, {}).get(name) or self.specs.get(name)
            if spec is not None:
                found[one] = spec
        return found

    def kinds(self, clusters: Iterable[str]) -> frozenset[str]:
        """The kinds of accelerators that these clusters have."""
        return frozenset().union(*(self.clusters.get(name, frozenset()) for name in clusters))

    def kind(self, name: str) -> str:
        """The short name of a kind that is asked for by either of its names."""
        return self.names.get(name, name)


def request_faults(request: ResourceRequest, grounds: Grounds, devices: Sequence[str]) -> Iterator[Fault]:
    """What is wrong with a request for an algorithm that runs on `devices` (cpu, gpu, npu …)."""
    if request.cluster is not None and request.cluster not in grounds.clusters:
        there_are = ", ".join(grounds.clusters) or "none"
        yield Fault("resources.cluster", f"There is no cluster {request.cluster!r}; there are {there_are}.")
    yield from label_faults(request.selectors, "resources.selectors")
    if request.nodes < 1:
        yield Fault("resources.nodes", "At least 1.")
    if request.memory < 0:
        yield Fault("resources.memory", "It is not negative.")
    if request.spec is not None:
        yield from _named_faults(request, request.spec, grounds)
        return
    if request.cpu is not None and not (math.isfinite(request.cpu) and request.cpu > 0):
        yield Fault("resources.cpu", "A number of cores above 0, such as 0.5 or 2.")
    yield from _accelerator_faults(request, grounds, {grounds.kind(one) for one in devices})


def _named_faults(request: ResourceRequest, name: str, grounds: Grounds) -> Iterator[Fault]:
    if name not in grounds.all_names:
        yield Fault("resources.spec", f"There is no spec {name!r}; there are {', '.join(grounds.all_names)}.")
    elif not grounds.meanings(name, request.cluster):
        yield Fault("resources.spec", f"The spec {name!r} means nothing on the cluster {request.cluster}.")
    amounts = (request.cpu, request.accelerator, request.count, request.model)
    if any(given is not None for given in amounts) or request.memory > 0:
        yield Fault("resources", "Name a spec, or say cpu, memory, accelerator, model and count: not both.")


def _accelerator_faults(request: ResourceRequest, grounds: Grounds, devices: set[str]) -> Iterator[Fault]:
    if request.accelerator is None:
        if request.count or request.model:
            what = "count" if request.count else "model"
            yield Fault("resources.accelerator", f"Say which kind the {what} is of: {_listed(grounds)}.")
        elif request.cpu is not None and "cpu" not in devices:
            yield Fault("resources.accelerator", f"The algorithm needs one of: {', '.join(sorted(devices))}.")
        return
    kind = grounds.names.get(request.accelerator)
    if kind is None:
        reason = f"There is no kind {request.accelerator!r}; there are {_listed(grounds)}."
        yield Fault("resources.accelerator", reason)
    elif kind not in devices:
        yield Fault("resources.accelerator", f"The algorithm runs on {', '.join(sorted(devices))} only.")
    if request.count is not None and request.count < 1:
        yield Fault("resources.count", "At least 1.")


def _listed(grounds: Grounds) -> str:
    kinds = sorted(set(grounds.names.values()))
    return " and ".join((", ".join(kinds[:-1]), kinds[-1])) if len(kinds) > 1 else kinds[0]


def settled(request: ResourceRequest, grounds: Grounds, devices: Sequence[str]) -> tuple[Resources, tuple[str, ...]]:
    """The amounts that a request without faults stands for here, and what the asker should know of it."""
    if request.spec is not None or (request.cpu is None and request.accelerator is None):
        return _of_name(request, grounds, {grounds.kind(one) for one in devices})
    return Resources(
        cpu=1.0 if request.cpu is None else request.cpu,
        memory=request.memory,
        accelerator=grounds.kind(request.accelerator) if request.accelerator else None,
        model=request.model,
        count=(request.count or 1) if request.accelerator else 0,
        nodes=request.nodes,
        selectors=dict(request.selectors),
        cluster=request.cluster,
    ), ()


def _of_name(request: ResourceRequest, grounds: Grounds, devices: set[str]) -> tuple[Resources, tuple[str, ...]]:
    """What a name stands for. Where it means different things on several clusters, one with accelerators is chosen."""
    name = request.spec or DEFAULT_NAME
    meanings = grounds.meanings(name, request.cluster)
    first = next(iter(meanings))
    if request.cluster is None and (len(meanings) < len(grounds.clusters) or any_differ(meanings.values())):
        able = [one for one, spec in meanings.items() if spec.usable(grounds.kinds([one]), devices)]
        chosen = able[0] if able else first
        resources, notes = _of_spec(request, name, meanings[chosen], grounds.kinds([chosen]), devices, chosen)
        others = ", ".join(one for one in meanings if one != chosen)
        more = f"; on {others} it can mean something else" if others else ""
        return resources, (*notes, f"{name!r} is taken on the cluster {chosen}{more}.")
    return _of_spec(request, name, meanings[first], grounds.kinds(meanings), devices, request.cluster)


def any_differ(specs: Iterable[Spec]) -> bool:
    """Whether they are not all the same."""
    told = list(specs)
    return any(one != told[0] for one in told)


def _of_spec(
    request: ResourceRequest, name: str, spec: Spec, kinds: frozenset[str], devices: set[str], cluster: str | None
) -> tuple[Resources, tuple[str, ...]]:
    usable = spec.usable(kinds, devices)
    plain = spec.resources(usable[0] if usable else None)
    asked: dict[str, object] = {"selectors": {**spec.selectors, **request.selectors}, "cluster": cluster or None}
    asked |= {"memory": request.memory} if request.memory else {}
    asked |= {"nodes": request.nodes} if request.nodes > 1 else {}
    notes = (without_accelerators(name, spec, kinds, cluster),) if spec.count and not usable else ()
    return plain.model_copy(update=asked), notes


def without_accelerators(name: str, spec: Spec, kinds: frozenset[str], cluster: str | None) -> str:
    """What is said where a spec means CPUs."""
    where = f"on the cluster {cluster}: it" if cluster else "here: this installation"
    why = "has no accelerators" if not kinds else "has none that the algorithm can use"
    return f"{name!r} means {spec.count} CPU{'' if spec.count == 1 else 's'} {where} {why}."


def spec_faults(spec: Spec, kinds: Iterable[str]) -> Iterator[Fault]:
    """What is wrong with what an administrator says that a name means; `kinds` are the accelerators there can be."""
    known = sorted(set(kinds))
    if spec.count < 0:
        yield Fault("count", "It is not negative; 0 for a spec of CPUs alone.")
    if spec.accelerator not in known:
        yield Fault("accelerator", f"There is no kind {spec.accelerator!r}; there are {', '.join(known)}.")
    if not (math.isfinite(spec.cpu) and spec.cpu > 0):
        yield Fault("cpu", "A number of cores above 0, such as 0.5 or 2.")
    if spec.memory < 0:
        yield Fault("memory", "It is not negative.")
    if spec.nodes < 1:
        yield Fault("nodes", "At least 1.")
    if spec.model is not None and not spec.count:
        yield Fault("model", "A spec of CPUs alone has no model of accelerator.")
    yield from label_faults(spec.selectors, "selectors")


def normalised(resources: Resources, grounds: Grounds) -> Resources:
    """With the short name of its accelerators, where they were asked for by a configured vendor's."""
    kind = grounds.kind(accelerator_name(resources.accelerator)) if resources.accelerator else None
    return resources if kind == resources.accelerator else resources.model_copy(update={"accelerator": kind})
