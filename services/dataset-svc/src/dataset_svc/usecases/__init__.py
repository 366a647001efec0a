"""What people can do with datasets: one async function a verb."""

from dataset_svc.usecases.datasets import (
    NewDataset,
    create_dataset,
    delete_dataset,
    edit_dataset,
    put_online,
    set_visibility,
    take_offline,
)
from dataset_svc.usecases.imports import cancel_import
from dataset_svc.usecases.reading import (
    Filters,
    Seen,
    find_dataset,
    find_import,
    find_versions,
    list_datasets,
    list_imports,
    snapshot_of,
)
from dataset_svc.usecases.samples import SamplePage, list_samples, open_sample
from dataset_svc.usecases.uploads import (
    UploadStatus,
    abort_upload,
    begin_upload,
    complete_upload,
    find_upload,
    put_part,
)

__all__ = [
    "Filters",
    "NewDataset",
    "SamplePage",
    "Seen",
    "UploadStatus",
    "abort_upload",
    "begin_upload",
    "cancel_import",
    "complete_upload",
    "create_dataset",
    "delete_dataset",
    "edit_dataset",
    "find_dataset",
    "find_import",
    "find_upload",
    "find_versions",
    "list_datasets",
    "list_imports",
    "list_samples",
    "open_sample",
    "put_online",
    "put_part",
    "set_visibility",
    "snapshot_of",
    "take_offline",
]
