"""What can be wrong with what somebody asks of train-svc."""

from __future__ import annotations

from common.contracts.shared import Resources
from common.kernel.errors import Conflict, Invalid, NotFound
from train_svc.domain.words import resources_in_words


class NeverFits(Invalid):
    """422 (`never_fits`): no nodes, or no quota, could ever take it; `largest` says what would fit."""

    title = "It can never fit"

    def __init__(self, asked: Resources, largest: Resources | None, reason: str = "") -> None:
        offer = f"At most: {resources_in_words(largest)}" if largest else "There is nothing of that kind here"
        why = f" {reason}" if reason else ""
        detail = f"Asked for {resources_in_words(asked)}, which can never fit here.{why} {offer}."
        super().__init__("never_fits", detail, largest=largest.model_dump() if largest else None)
        self.largest = largest


class DatasetOffline(Conflict):
    """409 (`dataset_offline`): only an online dataset can be trained on (seed 002 §2.1.6)."""

    def __init__(self, dataset: str, name: str) -> None:
        super().__init__("dataset_offline", f"The dataset {name!r} ({dataset}) is offline. Put it online first.")


class AlgorithmOffline(Conflict):
    """409 (`algorithm_offline`): only an online algorithm can be trained with (seed 002 §2.2.5)."""

    def __init__(self, algorithm: str, name: str) -> None:
        super().__init__("algorithm_offline", f"The algorithm {name!r} ({algorithm}) is offline. Put it online first.")


class NotADraft(Conflict):
    """409 (`not_a_draft`): what a job runs with can be changed in a draft only."""

    def __init__(self, fields: list[str]) -> None:
        super().__init__(
            "not_a_draft",
            f"Only a draft's {', '.join(fields)} can be changed. Of this job one can change name and description.",
        )


class NoInferencePart(Conflict):
    """409 (`no_inference_part`): the model's algorithm can't serve."""

    def __init__(self, algorithm: str) -> None:
        super().__init__(
            "no_inference_part",
            f"The algorithm {algorithm!r} has no inference part, so a model of it can't become a service. "
            "Add one to the algorithm and train again.",
        )


def no_attempt(job: str, number: int | None) -> NotFound:
    """404 (`attempt_not_found`)."""
    which = f"no attempt {number}" if number else "not been started yet"
    return NotFound("attempt_not_found", f"The job {job} has {which}.")


def no_file(what: str, path: str) -> NotFound:
    """404 (`file_not_found`)."""
    return NotFound("file_not_found", f"There is no file {path!r} among the {what}; list them to see which there are.")
