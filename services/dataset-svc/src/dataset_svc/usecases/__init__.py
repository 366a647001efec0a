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
from dataset_svc.usecases.differences import Compared, compare_versions
from dataset_svc.usecases.direct import part_links
from dataset_svc.usecases.formatted import (
    NewSet,
    SetFilters,
    delete_set,
    find_set,
    list_set_files,
    list_sets,
    order_complement,
    order_set,
    place_of_set_file,
    set_facts,
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
from dataset_svc.usecases.samples import SamplePage, list_samples, place_of_sample
from dataset_svc.usecases.sources import (
    NewSource,
    change_credentials,
    create_source,
    delete_source,
    find_source,
    import_from,
    list_sources,
    look_into,
)
from dataset_svc.usecases.tus import Standing, append, standing
from dataset_svc.usecases.uploads import (
    UploadStatus,
    abort_upload,
    begin_upload,
    complete_upload,
    find_upload,
    put_part,
)
from dataset_svc.usecases.uses import find_uses
from dataset_svc.usecases.versions import describe_version, list_history

__all__ = [
    "Compared",
    "Filters",
    "NewDataset",
    "NewSet",
    "NewSource",
    "SamplePage",
    "Seen",
    "SetFilters",
    "Standing",
    "UploadStatus",
    "abort_upload",
    "append",
    "begin_upload",
    "cancel_import",
    "change_credentials",
    "compare_versions",
    "complete_upload",
    "create_dataset",
    "create_source",
    "delete_dataset",
    "delete_set",
    "delete_source",
    "describe_version",
    "edit_dataset",
    "find_dataset",
    "find_import",
    "find_set",
    "find_source",
    "find_upload",
    "find_uses",
    "find_versions",
    "import_from",
    "list_datasets",
    "list_history",
    "list_imports",
    "list_samples",
    "list_set_files",
    "list_sets",
    "list_sources",
    "look_into",
    "order_complement",
    "order_set",
    "part_links",
    "place_of_sample",
    "place_of_set_file",
    "put_online",
    "put_part",
    "set_facts",
    "set_visibility",
    "snapshot_of",
    "standing",
    "take_offline",
]
