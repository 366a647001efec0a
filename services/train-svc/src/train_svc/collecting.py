"""What an attempt leaves, put into the file store before its folder is freed: log, results and evaluation."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from common import manifests
from common.contracts.shared import ManifestRef
from common.kernel.errors import NotFound, StorageFull
from common.ports.files import Files
from common.ports.runtime import Handle, Output, Runtime
from common.service import Platform
from common.workloads import gangs
from common.workloads.workload import Workload
from train_svc.plans import EVALUATION, RESULTS_MOUNT
from train_svc.settings import Settings


def folder_of(job: str, attempt: str) -> str:
    """Where an attempt's things are in the file store."""
    return f"jobs/{job}/{attempt}"


def log_key(job: str, attempt: str, member: int = 0) -> str:
    """Where an attempt's log is kept once it ended; each member of a gang has one of its own."""
    return f"{folder_of(job, attempt)}/log" + (f"-{member}" if member else "")


async def collect(platform: Platform, settings: Settings, workload: Workload) -> dict[str, Any]:
    """Keep log and results; gives what the workload remembers of them. Raises StorageFull with nothing half-kept."""
    runtime, files = platform.runtime, platform.files
    handle: Handle = workload.handle or {"workload": workload.id}
    log = await files.put(log_key(workload.subject, workload.id), runtime.logs(handle))
    for member, other in enumerate(gangs.handles(workload)[1:], start=1):
        await files.put(log_key(workload.subject, workload.id, member), runtime.logs(other))
    outputs = await _outputs(runtime, handle)
    results = await _keep(files, runtime, handle, workload, outputs)
    evaluation, note = await _evaluation(runtime, handle, outputs, settings.evaluation_bytes)
    notes = [note] if note else []
    if not outputs:
        notes.append("It left no file in its results folder (RESULT_DIR).")
    return {
        "log": {"key": log.key, "size": log.size},
        "results": results.model_dump() if results else None,
        "evaluation": evaluation,
        "notes": notes,
    }


async def _outputs(runtime: Runtime, handle: Handle) -> list[Output]:
    try:
        return list(await runtime.outputs(handle, RESULTS_MOUNT))
    except NotFound:
        return []  # it was lost before it had a folder


async def _keep(
    files: Files, runtime: Runtime, handle: Handle, workload: Workload, outputs: list[Output]
) -> ManifestRef | None:
    if not outputs:
        return None
    prefix = f"{folder_of(workload.subject, workload.id)}/results"
    sources = [(output.path, output.size, _opener(runtime, handle, output.path)) for output in outputs]
    try:
        return await manifests.store_stream(files, prefix, sources)
    except StorageFull:
        for key in [info.key async for info in files.list(f"{prefix}/")]:
            await files.delete(key)
        raise


def _opener(runtime: Runtime, handle: Handle, path: str) -> Callable[[], AsyncIterator[bytes]]:
    return lambda: runtime.read_output(handle, RESULTS_MOUNT, path)


async def _evaluation(
    runtime: Runtime, handle: Handle, outputs: list[Output], most: int
) -> tuple[dict[str, Any] | None, str]:
    """The evaluation, or a note on why there is none that can be read."""
    size = next((output.size for output in outputs if output.path == EVALUATION), None)
    if size is None:
        return None, ""
    if size > most:
        return None, f"{EVALUATION} has {size} bytes: it is among the results, but too long to be shown here."
    content = b"".join([chunk async for chunk in runtime.read_output(handle, RESULTS_MOUNT, EVALUATION)])
    try:
        found = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        return None, f"{EVALUATION} is no JSON that can be read: {error}"
    if not isinstance(found, dict):
        return None, f"{EVALUATION} holds no JSON object, so it is not shown as an evaluation."
    return found, ""


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")
