"""From a job's terms to the plan of an attempt: what is held, staged, mounted and passed (design §4, Workloads)."""

from __future__ import annotations

from collections.abc import Mapping

from common.kernel.errors import Fault, Invalid
from common.ports.staging import Split
from common.runtime.environment import check_environment
from common.staging.streaming import SHARDS
from common.workloads.plan import FolderPlan, HoldPlan, Plan, StagePlan
from train_svc.domain.job import Job, Terms
from train_svc.domain.parameters import as_text
from train_svc.mounting import mount_plans
from train_svc.settings import Settings

DATASET_MOUNT = "dataset"
METRICS_MOUNT = "metrics"
METRICS_FILE = "metrics.jsonl"
RESULTS_MOUNT = "results"
EVALUATION = "evaluation.json"

_OWN = frozenset(
    {
        "DATA_DIR",
        "VALIDATION_DIR",
        "RESULT_DIR",
        "MOUNT_DIR",
        "CKPT_DIR",
        "PRETRAINED_DIR",
        "PATH",
        "HOME",
        "TMPDIR",
        "VIRTUAL_ENV",
    }
)
"""Variables that the platform sets itself."""


def environment_faults(environment: Mapping[str, str]) -> list[Fault]:
    """What is wrong with the variables that a person gives a job."""
    faults = [
        Fault(f"environment.{name}", "The platform sets this one itself; choose another name.")
        for name in environment
        if name in _OWN or name.startswith("YARD_")
    ]
    try:
        check_environment(environment)
    except Invalid as refused:
        faults += refused.faults
    return faults


def plan_of(job: Job, settings: Settings) -> Plan:
    """The plan of the job's next attempt."""
    terms = job.terms
    training = terms.algorithm.training
    code = [StagePlan(name="code", variable="YARD_CODE_DIR", manifest=training.code)] if training.code else []
    return Plan(
        resources=terms.resources,
        holds=_holds(terms),
        stages=(*code, _dataset(terms, stream=job.request.stream)),
        folders=(
            FolderPlan(name=RESULTS_MOUNT, variable="RESULT_DIR"),
            FolderPlan(name="ckpt", variable="CKPT_DIR", volume=f"ckpt/{job.id}"),
            FolderPlan(name=METRICS_MOUNT, variable=""),
        ),
        mounts=mount_plans(terms.mounts),
        engine=training.engine,
        image=training.image,
        command=(*training.command, *training.arguments, *_words(terms)),
        environment=_environment(job),
        working_mount="code" if code else None,
        seconds=terms.time_limit_seconds,
        pids=settings.pids,
        log_bytes=settings.log_bytes,
    )


def _holds(terms: Terms) -> tuple[HoldPlan, ...]:
    """Everything that must stay while an attempt needs it, once each."""
    materials = [terms.data, *([terms.validation] if terms.validation is not None else [])]
    paths = dict.fromkeys(material.hold_path for material in materials)
    algorithm = HoldPlan(service="algo-svc", path=f"/api/v1/algorithms/{terms.algorithm.id}/holds")
    return (*(HoldPlan(service="dataset-svc", path=path) for path in paths), algorithm)


def _dataset(terms: Terms, *, stream: bool = False) -> StagePlan:
    data, manifest = terms.data, terms.data.manifest
    assert manifest is not None
    split = None
    if (rule := terms.split) is not None:
        split = Split(rule.ratio, rule.seed, describing=data.dataset.describing, annotations=data.annotations)
    return StagePlan(
        name=DATASET_MOUNT,
        variable="DATA_DIR",
        manifest=manifest,
        split=split,
        test=data.test if split is None else None,
        validation=terms.validation.manifest if terms.validation is not None else None,
        stream=stream,
    )


def _validation(terms: Terms) -> dict[str, str]:
    """Where that lies which is not trained on, if anything is: what was named for it, else the test part."""
    stage = _dataset(terms)
    if stage.validation is not None:
        return {"VALIDATION_DIR": f"{{{DATASET_MOUNT}}}/val"}
    parted = stage.split is not None or stage.test is not None
    return {"VALIDATION_DIR": f"{{{DATASET_MOUNT}}}/test"} if parted else {}


def _words(terms: Terms) -> list[str]:
    """Every parameter as `--name value` (seed 004)."""
    return [word for name, value in terms.parameters.items() for word in (f"--{name}", as_text(value))]


def _environment(job: Job) -> dict[str, str]:
    """The algorithm's variables, every parameter (as declared, and in upper case), the job's, and the platform's own.

    A parameter whose name is none that a variable may have is passed as an argument only.
    """
    parameters = {name: as_text(value) for name, value in job.terms.parameters.items()}
    parameters |= {name.upper(): value for name, value in parameters.items()}
    allowed = {name: value for name, value in parameters.items() if not environment_faults({name: value})}
    return {
        **job.terms.algorithm.training.environment,
        **allowed,
        **job.request.environment,
        **_validation(job.terms),
        **({"YARD_SHARDS": f"{{{DATASET_MOUNT}}}/{SHARDS}"} if job.request.stream else {}),
        "YARD_JOB_ID": job.id,
        "YARD_METRICS": f"{{{METRICS_MOUNT}}}/{METRICS_FILE}",
    }
