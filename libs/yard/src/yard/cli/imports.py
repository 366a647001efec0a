"""Waiting for imports, with what they are at: of an upload and of a source alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yard import forms
from yard.cli.output import Column, if_interrupted
from yard.progress import progress

if TYPE_CHECKING:
    from yard.client import Client
    from yard.shapes import Import

ONE = (
    Column("import", "id"),
    Column("state", "state"),
    Column("files", "files_done"),
    Column("version", "version_number"),
    Column("warnings", "report.totals.warnings", lambda count: str(count or "")),
)


def awaited(yard: Client, dataset_id: str, begun: Import) -> Import:
    """The import once it has ended well, with its progress meanwhile. Raises YardError (`import_failed`,
    `import_cancelled`)."""
    going_on = f"The import goes on. How far it is: yard dataset imports {dataset_id}"
    with if_interrupted(going_on), progress("Importing") as advance:
        return yard.datasets.wait_import(
            dataset_id,
            begun["id"],
            progress=lambda seen: advance(seen.get("progress") or 0.0, 1.0, what_it_is_at(seen)),
        )


def what_it_is_at(seen: Import) -> str:
    """Phase, what it waits for, bytes, files and rate in a line."""
    done, all_files, rate = seen.get("files_done") or 0, seen.get("files_total") or 0, seen.get("rate") or 0
    told = [
        ": ".join(filter(None, [seen.get("phase"), seen.get("reason")])),
        f"{forms.size(seen['bytes_done'])} of {forms.size(seen['bytes_total'])}" if seen.get("bytes_done") else "",
        f"{done} of {all_files} files" if all_files else f"{done} files" if done else "",
        f"{forms.size(rate)}/s" if rate else "",
    ]
    return ", ".join(filter(None, told))
