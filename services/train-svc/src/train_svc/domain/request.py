"""Whether a job can be what somebody asks for: every fault at once, and the terms it comes to (rows T1, T2, D8)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from common.contracts.algorithm import AlgorithmSnapshot
from common.contracts.dataset import DatasetSnapshot
from common.contracts.shared import Resources
from common.kernel.errors import Fault
from common.kernel.names import description_faults, name_faults, raise_faults
from common.ports.inventory import Node
from train_svc.domain import parameters, specs
from train_svc.domain.asking import DEFAULT_QUEUE
from train_svc.domain.errors import NeverFits
from train_svc.domain.job import JobRequest, SplitRequest, Terms
from train_svc.domain.specs import Grounds, Spec

INDEPENDENT = "independent"
"""The test mode of a dataset that brings a test set of its own (seed 002 §2.1.1)."""


@dataclass(frozen=True)
class House:
    """What an installation allows. Times in seconds; `nodes` are those that capacity is promised of; `never_fits` says
    what could never begin in a queue."""

    nodes: tuple[Node, ...]
    specs: Mapping[str, Spec]
    default_time_limit: float
    longest_time_limit: float
    never_fits: Callable[[Resources, str], NeverFits | None]

    of_clusters: Mapping[str, Mapping[str, Spec]] = field(default_factory=dict)
    """What specs mean on single clusters, by cluster and name."""

    @cached_property
    def grounds(self) -> Grounds:
        """What requests for resources are settled against."""
        return Grounds.of(self.specs, self.of_clusters, self.nodes)


def terms_of(
    request: JobRequest,
    algorithm: AlgorithmSnapshot,
    dataset: DatasetSnapshot,
    house: House,
    queue: str = DEFAULT_QUEUE,
) -> Terms:
    """What the request comes to in that queue. Raises Invalid (`invalid_job`, all faults at once), NeverFits."""
    raise_faults("job", request_faults(request, algorithm, dataset, house))
    training = algorithm.training
    resources, notes = specs.settled(request.resources, house.grounds, training.devices)
    if (refused := house.never_fits(resources, queue)) is not None:
        raise refused
    return Terms(
        algorithm=algorithm,
        dataset=dataset,
        split=None if request.whole or dataset.test_mode == INDEPENDENT else request.split or SplitRequest(),
        parameters=parameters.settled(training.parameters, request.parameters),
        resources=resources,
        time_limit_seconds=request.time_limit_seconds or house.default_time_limit,
        notes=notes,
        queue=queue,
    )


def request_faults(
    request: JobRequest, algorithm: AlgorithmSnapshot, dataset: DatasetSnapshot, house: House
) -> Iterator[Fault]:
    """Everything that is wrong with a request."""
    yield from name_faults(request.name)
    yield from description_faults(request.description)
    yield from _match_faults(algorithm, dataset)
    yield from split_faults(request.split, dataset.test_mode)
    yield from parameters.parameter_faults(algorithm.training.parameters, request.parameters)
    yield from specs.request_faults(request.resources, house.grounds, algorithm.training.devices)
    yield from _time_faults(request.time_limit_seconds, house.longest_time_limit)


def _match_faults(algorithm: AlgorithmSnapshot, dataset: DatasetSnapshot) -> Iterator[Fault]:
    if dataset.purpose != algorithm.purpose:
        reason = f"It is for {dataset.purpose}, the algorithm {algorithm.name!r} for {algorithm.purpose}."
        yield Fault("dataset_id", reason)
    if dataset.format not in algorithm.formats:
        taken = ", ".join(algorithm.formats) or "none"
        yield Fault("dataset_id", f"Its format is {dataset.format!r}; {algorithm.name!r} takes {taken}.")
    if dataset.version is None:
        yield Fault("dataset_id", "It has no version yet: import one first.")


def split_faults(split: SplitRequest | None, test_mode: str) -> Iterator[Fault]:
    """What is wrong with a split: a ratio is a finite number strictly between 0 and 1 (seed 002 §2.3.1)."""
    if split is None:
        return
    if test_mode == INDEPENDENT:
        yield Fault("split", "The dataset brings its own test set, so there is nothing to split: leave it out.")
    if not (math.isfinite(split.ratio) and 0 < split.ratio < 1):
        reason = f"It is a number above 0 and below 1, such as 0.8, not {split.ratio:g}: neither part may be empty."
        yield Fault("split.ratio", reason)


def _time_faults(seconds: float | None, longest: float) -> Iterator[Fault]:
    if seconds is None:
        return
    if not math.isfinite(seconds) or not 0 < seconds <= longest:
        hours = longest / 3600
        yield Fault("time_limit_seconds", f"It is above 0 and at most {longest:g} seconds ({hours:g} hours) here.")
