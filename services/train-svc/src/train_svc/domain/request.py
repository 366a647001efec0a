"""Whether a job can be what somebody asks for: every fault at once, and the terms it comes to (rows T1, T2, D8)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from common.contracts.algorithm import AlgorithmSnapshot
from common.contracts.shared import Resources
from common.kernel.errors import Fault
from common.kernel.names import description_faults, name_faults, raise_faults
from common.ports.inventory import Node
from train_svc.domain import parameters, specs
from train_svc.domain.asking import DEFAULT_QUEUE
from train_svc.domain.errors import NeverFits
from train_svc.domain.job import JobRequest, Terms
from train_svc.domain.materials import Material, SplitRequest, material_notes
from train_svc.domain.specs import Grounds, Spec

STREAMS = ("webdataset",)
"""Formats of sets whose files are read one after the other, so that a job can begin before the last is there."""


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


@dataclass(frozen=True)
class Used:
    """What a request names, as it was found; `shared` counts the files to validate on that are trained on too, where
    that was counted."""

    algorithm: AlgorithmSnapshot
    data: Material
    validation: Material | None = None
    shared: int | None = None


def terms_of(request: JobRequest, used: Used, house: House, queue: str = DEFAULT_QUEUE) -> Terms:
    """What the request comes to in that queue. Raises Invalid (`invalid_job`, all faults at once), NeverFits."""
    raise_faults("job", request_faults(request, used, house))
    training, data = used.algorithm.training, used.data
    resources, notes = specs.settled(request.resources, house.grounds, training.devices)
    if (refused := house.never_fits(resources, queue)) is not None:
        raise refused
    split = _split(request, used)
    return Terms(
        algorithm=used.algorithm,
        dataset=data.dataset,
        split=split,
        parameters=parameters.settled(training.parameters, request.parameters),
        resources=resources,
        time_limit_seconds=request.time_limit_seconds or house.default_time_limit,
        notes=(*notes, *material_notes(data, split, used.validation, used.shared)),
        queue=queue,
        formatted=data.formatted,
        validation=used.validation,
    )


def _split(request: JobRequest, used: Used) -> SplitRequest | None:
    """How it is split. Unasked, only a dataset of files for which nothing else is named to validate on is."""
    if request.whole or used.data.brings_test or used.data.unparted:
        return None
    unasked = used.data.formatted is None and used.validation is None
    return request.split or (SplitRequest() if unasked else None)


def naming_faults(request: JobRequest) -> Iterator[Fault]:
    """What is wrong with how it names what it trains and validates on, before any of it is looked for."""
    if bool(request.dataset_id) == bool(request.formatted_set_id):
        yield Fault("dataset_id", "Name what it trains on: a dataset_id or a formatted_set_id, one of them.")
    validation = request.validation
    if validation is None:
        return
    if bool(validation.dataset_id) == bool(validation.formatted_set_id):
        yield Fault("validation", "Name what it validates on: a dataset_id or a formatted_set_id, one of them.")
    elif validation.formatted_set_id and (validation.version is not None or validation.part != "train"):
        yield Fault("validation", "A formatted set is of one version and part: leave out version and part.")


def request_faults(request: JobRequest, used: Used, house: House) -> Iterator[Fault]:
    """Everything that is wrong with a request."""
    algorithm, data, validation = used.algorithm, used.data, used.validation
    yield from name_faults(request.name)
    yield from _stream_faults(request, data)
    yield from description_faults(request.description)
    yield from _match_faults("", algorithm, data)
    yield from split_faults(request.split, data.brings_test)
    if request.split is not None and data.unparted:
        reason = f"All samples of {data.called} are in one file: import a test set of its own, or name a validation."
        yield Fault("split", reason)
    if request.split is not None and data.of_records:
        yield Fault("split", f"The records of {data.called} can't be split: validate on its complement.")
    if validation is not None:
        yield from _match_faults("validation.", algorithm, validation)
    yield from parameters.parameter_faults(algorithm.training.parameters, request.parameters)
    yield from specs.request_faults(request.resources, house.grounds, algorithm.training.devices)
    yield from _time_faults(request.time_limit_seconds, house.longest_time_limit)


def _match_faults(prefix: str, algorithm: AlgorithmSnapshot, data: Material) -> Iterator[Fault]:
    """Whether the algorithm can do with it; `prefix` is where in the request it is named."""
    where = prefix + ("dataset_id" if data.formatted is None else "formatted_set_id")
    purpose = data.dataset.purpose
    if purpose != algorithm.purpose:
        yield Fault(where, f"It is for {purpose}, the algorithm {algorithm.name!r} for {algorithm.purpose}.")
    if data.format not in algorithm.formats:
        taken = ", ".join(algorithm.formats) or "none"
        yield Fault(where, f"Its format is {data.format!r}; {algorithm.name!r} takes {taken}.")
    if data.dataset.version is None:
        yield Fault(where, "It has no version yet: import one first.")
    elif data.manifest is None:
        yield Fault(f"{prefix}part", f"Version {data.dataset.version.number} brings no independent test set.")


def split_faults(split: SplitRequest | None, brings_test: bool) -> Iterator[Fault]:
    """What is wrong with a split: a ratio is a finite number strictly between 0 and 1 (seed 002 §2.3.1)."""
    if split is None:
        return
    if brings_test:
        yield Fault("split", "The dataset brings its own test set, so there is nothing to split: leave it out.")
    if not (math.isfinite(split.ratio) and 0 < split.ratio < 1):
        reason = f"It is a number above 0 and below 1, such as 0.8, not {split.ratio:g}: neither part may be empty."
        yield Fault("split.ratio", reason)


def _stream_faults(request: JobRequest, data: Material) -> Iterator[Fault]:
    if request.stream and (data.formatted is None or data.formatted.format not in STREAMS):
        reason = (
            f"Only a formatted set in {' or '.join(STREAMS)} can be read while it arrives: name one, or leave it out."
        )
        yield Fault("stream", reason)


def _time_faults(seconds: float | None, longest: float) -> Iterator[Fault]:
    if seconds is None:
        return
    if not math.isfinite(seconds) or not 0 < seconds <= longest:
        hours = longest / 3600
        yield Fault("time_limit_seconds", f"It is above 0 and at most {longest:g} seconds ({hours:g} hours) here.")
