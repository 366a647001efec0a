"""What the API of dataset-svc takes and answers. Sizes in bytes, times in UTC, progress from 0 to 1."""

from dataset_svc.schemas.datasets import (
    ContentOut,
    CreateDataset,
    DatasetOut,
    EditDataset,
    ImportOut,
    SampleOut,
    SetVisibility,
    VersionOut,
)
from dataset_svc.schemas.formatted import CreateSet, FormattedSetOut, SetFileOut
from dataset_svc.schemas.sources import CreateSource, Credentials, FoundOut, ImportFromSource, SourceOut
from dataset_svc.schemas.uploads import (
    AskLinks,
    BeginUpload,
    BeginUploadTo,
    CompleteUpload,
    LinksOut,
    PartOut,
    UploadOut,
)

__all__ = [
    "AskLinks",
    "BeginUpload",
    "BeginUploadTo",
    "CompleteUpload",
    "ContentOut",
    "CreateDataset",
    "CreateSet",
    "CreateSource",
    "Credentials",
    "DatasetOut",
    "EditDataset",
    "FormattedSetOut",
    "FoundOut",
    "ImportFromSource",
    "ImportOut",
    "LinksOut",
    "PartOut",
    "SampleOut",
    "SetFileOut",
    "SetVisibility",
    "SourceOut",
    "UploadOut",
    "VersionOut",
]
