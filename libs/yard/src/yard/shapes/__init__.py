"""What the platform answers, as the types of plain dictionaries: fields that later versions add simply are there.

Sizes are bytes, memory is bytes, times are RFC 3339 in UTC, progress is 0 to 1.
"""

from __future__ import annotations

from yard.shapes.algorithms import Algorithm, Engine
from yard.shapes.cluster import Allocation, Node, Queue, ResourceSpec
from yard.shapes.common import File, LogPart, Resource
from yard.shapes.datasets import Comparison, Dataset, DatasetVersion, Deed, FormattedSet, Sample, Uses
from yard.shapes.events import DeadLetter, DeadLetters, NotReplayed, Replayed, Unanswered
from yard.shapes.imports import Import, Part, Source, Upload
from yard.shapes.jobs import Attempt, Job, Metrics
from yard.shapes.models import Model, Published, Replica, Service, TestAnswer
from yard.shapes.people import ApiKey, Login, User

__all__ = [
    "Algorithm",
    "Allocation",
    "ApiKey",
    "Attempt",
    "Comparison",
    "Dataset",
    "DatasetVersion",
    "DeadLetter",
    "DeadLetters",
    "Deed",
    "Engine",
    "File",
    "FormattedSet",
    "Import",
    "Job",
    "LogPart",
    "Login",
    "Metrics",
    "Model",
    "Node",
    "NotReplayed",
    "Part",
    "Published",
    "Queue",
    "Replayed",
    "Replica",
    "Resource",
    "ResourceSpec",
    "Sample",
    "Service",
    "Source",
    "TestAnswer",
    "Unanswered",
    "Upload",
    "User",
    "Uses",
]
