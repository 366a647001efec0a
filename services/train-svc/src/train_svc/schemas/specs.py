"""Named resource specs over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from train_svc.domain.specs import Grounds, Spec, without_accelerators
from train_svc.domain.words import resources_in_words
from train_svc.resource_specs import NamedSpec
from train_svc.schemas.jobs import Memory
from train_svc.schemas.shared import Asked


class SpecIn(Asked):
    """What a name means from now on: so many accelerators a node with CPUs (cores) and memory beside them; with a
    `count` of 0, `cpu` CPUs alone."""

    count: int = Field(default=0, le=1024)
    accelerator: str = Field(default="gpu", max_length=128)
    cpu: float = Field(default=1.0, allow_inf_nan=False)
    memory: Memory = 0
    model: str | None = Field(default=None, max_length=100)
    nodes: int = Field(default=1, le=10_000)
    selectors: dict[str, str] = Field(default_factory=dict)

    def asked(self, grounds: Grounds) -> Spec:
        """As the domain has it."""
        return Spec(**{**self.model_dump(), "accelerator": grounds.kind(self.accelerator)})


class SpecOut(BaseModel):
    """One meaning of a name: on one cluster, or (`cluster` null) wherever that has none of its own. `meaning` says by
    cluster what somebody gets who asks for it; `source` who said so: `built in`, `settings` or `administrator`."""

    name: str
    cluster: str | None
    count: int
    accelerator: str
    cpu: float
    memory: int
    model: str | None
    nodes: int
    selectors: dict[str, str]
    meaning: dict[str, str]
    source: str
    updated_by: str | None
    updated_at: datetime | None

    @classmethod
    def of(cls, named: NamedSpec, grounds: Grounds) -> Self:
        """As it is told."""
        spec = named.spec
        clusters = [named.cluster] if named.cluster else list(grounds.clusters)
        own = {name for name in clusters if not named.cluster and named.name in grounds.of_clusters.get(name, {})}
        return cls(
            name=named.name,
            cluster=named.cluster,
            count=spec.count,
            accelerator=spec.accelerator,
            cpu=spec.cpu,
            memory=spec.memory,
            model=spec.model,
            nodes=spec.nodes,
            selectors=dict(spec.selectors),
            meaning={name: in_words(named.name, spec, grounds, name) for name in clusters if name not in own},
            source=named.source,
            updated_by=named.updated_by,
            updated_at=named.updated_at,
        )


class SpecsOut(BaseModel):
    """All meanings of all names."""

    items: list[SpecOut]


def in_words(name: str, spec: Spec, grounds: Grounds, cluster: str) -> str:
    """What somebody gets on a cluster, for an algorithm that runs on anything."""
    kinds = grounds.kinds([cluster])
    usable = spec.usable(kinds, kinds)
    if spec.count and not usable:
        return without_accelerators(name, spec, kinds, cluster)
    return resources_in_words(spec.resources(usable[0] if usable else None))
