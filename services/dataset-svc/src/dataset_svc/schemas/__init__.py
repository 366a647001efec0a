"""What the API of dataset-svc takes and answers. Sizes in bytes, times in UTC, progress from 0 to 1."""

from dataset_svc.schemas.datasets import (
    BeginUpload,
    BeginUploadTo,
    CompleteUpload,
    ContentOut,
    CreateDataset,
    DatasetOut,
    EditDataset,
    ImportOut,
    PartOut,
    SampleOut,
    SetVisibility,
    UploadOut,
    VersionOut,
)
from dataset_svc.schemas.formatted import CreateSet, FormattedSetOut, SetFileOut
from dataset_svc.schemas.sources import CreateSource, Credentials, FoundOut, ImportFromSource, SourceOut

__all__ = [
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
    "PartOut",
    "SampleOut",
    "SetFileOut",
    "SetVisibility",
    "SourceOut",
    "UploadOut",
    "VersionOut",
]
