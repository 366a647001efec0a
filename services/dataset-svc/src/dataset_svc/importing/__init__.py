"""Imports: one pass from an uploaded archive to a checked, packed version, in a child process with limits.

What strangers pack is only ever unpacked in that child. It may be killed at any moment, by its limits, by the system
or with the platform; the import then fails with a reason or is simply begun again, and the dataset stays as it was.
"""

from dataset_svc.importing.parent import import_archive
from dataset_svc.importing.report import Report, ReportFault
from dataset_svc.importing.request import ChildLimits, ImportRequest, ImportResult, Progress
from dataset_svc.importing.run import run_import

__all__ = [
    "ChildLimits",
    "ImportRequest",
    "ImportResult",
    "Progress",
    "Report",
    "ReportFault",
    "import_archive",
    "run_import",
]
