"""One of each thing that routes are about, owned by alice, put straight into the databases: private or shared."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any

import algo_svc.storage
import dataset_svc.storage
import gateway.storage
import notebook_svc.storage
import serving_svc.storage
import train_svc.storage
from algo_svc.domain.algorithm import Algorithm, AlgorithmState
from algo_svc.domain.engine import Engine
from common.contracts.algorithm import AlgorithmSnapshot
from common.contracts.dataset import DatasetSnapshot
from common.contracts.model import Lineage
from common.contracts.shared import InferencePart, Interface, ManifestRef, Resources, TrainingPart, Visibility
from common.kernel.ids import new_id
from common.service import Service
from dataset_svc.domain.dataset import Dataset, DatasetState
from dataset_svc.domain.formatted import Cut, FormattedSet, Origin, SetState
from dataset_svc.domain.sources import Source
from dataset_svc.domain.taxonomy import Part, TestMode
from gateway.domain.user import User, UserState
from notebook_svc.domain.environment import Environment
from serving_svc.domain.service import InferenceService
from train_svc.domain.allocation import Allocation
from train_svc.domain.job import Job, JobRequest, JobState, Terms
from train_svc.domain.model import Model

OWNER = "alice"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
REF = ManifestRef(address="nowhere/index", digest="sha256:" + "0" * 64, files=0, bytes=0)
_NUMBERS = count(1)


def times() -> dict[str, Any]:
    return {"owner": OWNER, "created_at": NOW, "updated_at": NOW}


def dataset(shared: bool) -> Dataset:
    return Dataset(
        id=new_id("ds"),
        name="digits",
        purpose="image/classification",
        annotation="class",
        format="dir",
        test_mode=TestMode.RATIO,
        visibility=Visibility.PUBLIC if shared else Visibility.PRIVATE,
        state=DatasetState.ONLINE if shared else DatasetState.EMPTY,
        **times(),
    )


def formatted_set() -> FormattedSet:
    origin = Origin("ds-1", "digits", 1, "sha256:0", Part.TRAIN, "image", {}, REF)
    return FormattedSet(
        id=new_id("set"),
        name="digits raw",
        format="raw",
        origin=origin,
        cut=Cut(),
        state=SetState.READY,
        manifest=REF,
        **times(),
    )


def source() -> Source:
    return Source(id=new_id("src"), name="lab", connection={"type": "path", "root": "lab", "prefix": ""}, **times())


def algorithm(shared: bool) -> Algorithm:
    return Algorithm(
        id=new_id("algo"),
        name="mine",
        purpose="image/classification",
        formats=("dir",),
        training=TrainingPart(image="some/image:1"),
        visibility=Visibility.PUBLIC if shared else Visibility.PRIVATE,
        state=AlgorithmState.ONLINE if shared else AlgorithmState.READY,
        **times(),
    )


def terms() -> Terms:
    known = {"name": "x", "owner": OWNER, "visibility": "private", "purpose": "image/classification", "online": True}
    return Terms(
        algorithm=AlgorithmSnapshot(id="algo-1", formats=("dir",), training=TrainingPart(), **known),
        dataset=DatasetSnapshot(id="ds-1", annotation="class", format="dir", test_mode="ratio", **known),
        split=None,
        parameters={},
        resources=Resources(),
        time_limit_seconds=60,
    )


def job() -> Job:
    request = JobRequest("first", "algo-1", "ds-1")
    return Job(id=new_id("job"), request=request, terms=terms(), state=JobState.FAILED, **times())


def model() -> Model:
    return Model(
        id=new_id("model"),
        name="digits",
        purpose="image/classification",
        manifest=REF,
        lineage=Lineage(job_id="job-1", attempt=1),
        inference=InferencePart(image="some/image:1"),
        **times(),
    )


def allocation() -> Allocation:
    number = next(_NUMBERS)
    return Allocation(
        id=new_id("alloc"), workload=new_id("att"), kind="job", resources=Resources(), number=number, **times()
    )


def service(shared: bool) -> InferenceService:
    return InferenceService(
        id=new_id("svc"),
        name="digits",
        inference=InferencePart(image="some/image:1", interface=Interface(name="f", path="/f")),
        visibility=Visibility.PUBLIC if shared else Visibility.PRIVATE,
        **times(),
    )


def environment(shared: bool) -> Environment:
    return Environment(
        id=new_id("env"),
        name="torch",
        framework="PyTorch",
        release="2.13",
        device="cpu",
        visibility=Visibility.PUBLIC if shared else Visibility.PRIVATE,
        **times(),
    )


async def add_users(services: Mapping[str, Service]) -> None:
    """The gateway knows alice, the stranger bob, and the administrator root."""
    async with services["gateway"].kit.store.work() as uow:
        for name, role in ((OWNER, "user"), ("bob", "user"), ("root", "admin")):
            user = User(name, name, name, role, UserState.ACTIVE, "no hash fits this", NOW, NOW)  # type: ignore[arg-type]
            await gateway.storage.users.add(uow.connection, user)


async def add(services: Mapping[str, Service], shared: bool) -> dict[str, str]:
    """Store one of each; gives the ids by the names that paths have for them."""
    ids: dict[str, str] = {}

    async def keep(where: str, repository: Any, thing: Any, *names: str) -> None:
        async with services[where].kit.store.work() as uow:
            await repository.add(uow.connection, thing)
        ids.update(dict.fromkeys(names, thing.id))

    await keep("dataset-svc", dataset_svc.storage.DATASETS, dataset(shared), "dataset_id")
    await keep("dataset-svc", dataset_svc.storage.SETS, formatted_set(), "set_id")
    await keep("dataset-svc", dataset_svc.storage.SOURCES, source(), "source_id")
    await keep("algo-svc", algo_svc.storage.ALGORITHMS, algorithm(shared), "algorithm")
    engine = Engine(id=f"e{next(_NUMBERS)}", framework="x", release="1", requirements=(), **times())
    await keep("algo-svc", algo_svc.storage.ENGINES, engine, "name")
    await keep("train-svc", train_svc.storage.jobs, job(), "job_id")
    await keep("train-svc", train_svc.storage.models, model(), "model_id")
    await keep("train-svc", train_svc.storage.allocations, allocation(), "allocation_id")
    await keep("serving-svc", serving_svc.storage.SERVICES, service(shared), "service")
    await keep("notebook-svc", notebook_svc.storage.ENVIRONMENTS, environment(shared), "environment")
    return ids
