"""What the platform answers, as the types of plain dictionaries: fields that later versions add simply are there.

Sizes are bytes, memory is bytes, times are RFC 3339 in UTC, progress is 0 to 1.
"""

from __future__ import annotations

from typing import Any, TypedDict


class Resource(TypedDict, total=False):
    """What every resource has. `version` counts its changes and may be sent back as `after`."""

    id: str
    name: str
    description: str
    owner: str
    state: str
    visibility: str
    version: int
    created_at: str
    updated_at: str


class Import(TypedDict, total=False):
    """An import of an uploaded archive: queued, running, then succeeded, failed or cancelled."""

    id: str
    dataset_id: str
    part: str
    state: str
    phase: str
    progress: float
    bytes_done: int
    bytes_total: int
    files_done: int
    files_total: int
    code: str
    reason: str
    unchanged: bool
    rate: float
    report: dict[str, Any] | None
    version_number: int | None


class Source(Resource, total=False):
    """A place where data lies; of its credentials only the names are told."""

    description: str
    connection: dict[str, Any]
    credentials: list[str]


class DatasetVersion(TypedDict, total=False):
    """An immutable import of a dataset, named by its content digest."""

    number: int
    digest: str
    name: str
    description: str
    files: int
    bytes: int
    classes: dict[str, int]


class Comparison(TypedDict, total=False):
    """What is another in one version than in another; `items` are files that were added, removed, changed, renamed."""

    before: dict[str, Any]
    after: dict[str, Any]
    same: bool
    totals: dict[str, dict[str, int]]
    items: list[dict[str, Any]]
    next_cursor: str | None


class Uses(TypedDict, total=False):
    """Who uses a dataset; `others` counts what one may not see, `unknown` names services that can't be asked now."""

    items: list[dict[str, Any]]
    others: int
    unknown: list[str]
    more: bool


class Deed(TypedDict, total=False):
    """One thing that happened to a dataset."""

    deed: str
    at: str
    actor: str | None
    changes: dict[str, list[Any]]
    detail: dict[str, Any]


class Dataset(Resource, total=False):
    """A dataset; only an online one can be used by jobs."""

    online: bool
    purpose: str
    annotation: str
    format: str
    test_mode: str
    current_version: DatasetVersion | None
    imports: list[Import]


class FormattedSet(Resource, total=False):
    """A part of a dataset version in a format; `progress` from 0 to 1."""

    format: str
    origin: dict[str, Any]
    cut: dict[str, Any]
    complement: dict[str, Any] | None
    progress: float
    records: int
    classes: dict[str, int]
    files: int
    bytes: int
    manifest: dict[str, Any] | None
    reason: str


class Part(TypedDict):
    """One part of an upload that arrived; `number` counts from 1."""

    number: int
    size: int
    sha256: str


class Upload(TypedDict, total=False):
    """An upload in parts of `part_size` bytes: open, completed or aborted. `arrived` are the parts that came.
    `direct`: they go straight to the file store, by links."""

    id: str
    direct: bool
    part_size: int
    arrived: list[Part]
    size: int
    state: str
    import_id: str | None


class Sample(TypedDict, total=False):
    """One file of a dataset, and what is annotated in it."""

    path: str
    size: int
    sha256: str
    url: str
    thumbnail: str | None
    annotations: dict[str, Any] | None


class Algorithm(Resource, total=False):
    """An algorithm: a training part and an inference part, with the parameters each takes."""

    online: bool
    purpose: str
    formats: list[str]
    training: dict[str, Any] | None
    inference: dict[str, Any] | None
    training_code: dict[str, Any] | None
    inference_code: dict[str, Any] | None


class Engine(TypedDict, total=False):
    """A framework and version that runs code bringing no image: absent, building, ready or failed."""

    name: str
    framework: str
    version: str
    state: str
    progress: float
    detail: str
    digest: str


class Job(Resource, total=False):
    """One piece of work to run; `reason` says why its last attempt ended."""

    reason: str | None
    detail: str
    attempt: int
    algorithm: dict[str, Any]
    dataset: dict[str, Any]
    formatted_set: dict[str, Any] | None
    validation: dict[str, Any] | None
    split: dict[str, Any] | None
    parameters: dict[str, Any]
    resources: dict[str, Any]
    time_limit_seconds: int | None
    progress: float
    note: str
    waiting: dict[str, Any] | None
    giving_way: dict[str, Any] | None
    metrics: dict[str, float]
    evaluation: dict[str, Any] | None
    model_id: str | None
    started_at: str | None
    ended_at: str | None


class Attempt(TypedDict, total=False):
    """One try at a job; `cpu_seconds` and `peak_memory` (bytes) are what it used."""

    number: int
    placements: list[dict[str, Any]]
    phase: str
    reason: str | None
    detail: str
    exit_code: int | None
    cpu_seconds: float
    peak_memory: int
    started_at: str | None
    ended_at: str | None


class File(TypedDict, total=False):
    """One file of a job's results or of a model."""

    path: str
    size: int
    sha256: str


class Metrics(TypedDict, total=False):
    """Curves of one attempt: name → [[step, value], …]."""

    attempt: int
    series: dict[str, list[list[float]]]


class LogPart(TypedDict):
    """A piece of a log; reading goes on at `next_offset` (bytes)."""

    text: str
    next_offset: int


class Model(Resource, total=False):
    """What a successful job made, with its lineage."""

    purpose: str
    files: int
    bytes: int
    digest: str
    metrics: dict[str, float]
    job_id: str | None
    lineage: dict[str, Any] | None
    services: list[str]


class Published(Model, total=False):
    """The model, and the id of the service that will come to be."""

    service_id: str


class Service(Resource, total=False):
    """An inference service; `replicas` are wanted, `ready` of them answer. Its `address` never changes."""

    replicas: int
    ready: int
    address: str
    interface: dict[str, Any] | None
    model_id: str | None
    job_id: str | None
    detail: str


class Replica(TypedDict, total=False):
    """One running copy of a service."""

    id: str
    state: str
    ready: bool
    address: str | None
    note: str
    reason: str | None
    detail: str
    exit_code: int | None
    last_lines: str


class TestAnswer(TypedDict, total=False):
    """What the online test sent and got, and which replica answered."""

    status: int
    latency_ms: float
    replica: str
    request: dict[str, Any]
    response: Any


class User(TypedDict, total=False):
    """A person who may log in; `role` is `user` or `admin`. `password` is told once, where the platform made it."""

    id: str
    name: str
    role: str
    state: str
    groups: list[str]
    password: str | None
    created_at: str


class Login(TypedDict):
    """A token for later requests, until `expires_at`."""

    token: str
    expires_at: str
    user: User


class ApiKey(TypedDict, total=False):
    """A key for programs; `key` itself is told once, when it is made."""

    id: str
    name: str
    state: str
    prefix: str
    key: str | None
    created_at: str
    expires_at: str | None


class Node(TypedDict, total=False):
    """A machine of a cluster and what of it is free; `state` is ready, cordoned, draining, missing or lost."""

    name: str
    cluster: str
    domain: str
    labels: dict[str, str]
    simulated: bool
    state: str
    reason: str
    since: str | None
    by: str
    devices_free: int
    cpu: float
    memory: int
    devices: list[dict[str, Any]]
    cpu_free: float
    memory_free: int


class ResourceSpec(TypedDict, total=False):
    """What a name for resources stands for: on one cluster, or (None) wherever that has no meaning of its own."""

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


class Allocation(TypedDict, total=False):
    """The promise of certain devices to one workload: waiting (`position` from 1), or granted with placements."""

    id: str
    name: str
    state: str
    owner: str
    workload: str
    kind: str
    resources: dict[str, Any]
    placements: list[dict[str, Any]]
    position: int | None
    detail: str


class Queue(TypedDict, total=False):
    """What one group may use, and who waits for it. CPU in cores, memory in bytes, accelerators by the piece."""

    id: str
    name: str
    group: str
    guaranteed: dict[str, float]
    maximum: dict[str, float]
    borrowing: dict[str, float] | None
    cohort: str | None
    weight: float
    used: dict[str, float]
    granted: int
    waiting_total: int
    waiting: list[dict[str, Any]]


class DeadLetter(TypedDict, total=False):
    """An event that a handler of `service` could not take; `kept` says whether its inbox or the broker has it."""

    id: str
    service: str
    handler: str
    kept: str
    event_id: str | None
    type: str | None
    subject: str | None
    attempts: int | None
    error: str
    since: str | None
    advice: str


class Unanswered(TypedDict):
    """A service of which nothing, or not everything, was told."""

    service: str
    reason: str


class DeadLetters(TypedDict):
    """Dead letters, and the services that did not answer."""

    items: list[DeadLetter]
    unavailable: list[Unanswered]


class NotReplayed(TypedDict):
    """Why one was not replayed."""

    id: str
    code: str
    detail: str


class Replayed(TypedDict):
    """The ids of what was given back, and what was not."""

    replayed: list[str]
    failed: list[NotReplayed]
