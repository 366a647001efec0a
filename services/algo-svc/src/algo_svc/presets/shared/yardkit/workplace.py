"""The folders that the platform gives a training job, read from its environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .process import Refused


@dataclass(frozen=True)
class Workplace:
    """Where a job finds its data and leaves its results; what the platform didn't name is None."""

    data: Path
    results: Path
    checkpoints: Path | None
    pretrained: Path | None
    metrics: Path | None


def from_environment(environment: Mapping[str, str]) -> Workplace:
    """Read DATA_DIR, RESULT_DIR, CKPT_DIR, PRETRAINED_DIR and YARD_METRICS; the first two are required."""
    for name in ("DATA_DIR", "RESULT_DIR"):
        if not environment.get(name):
            raise Refused(
                f"the environment variable {name} is not set: it names the folder of the job's "
                f"{'dataset' if name == 'DATA_DIR' else 'results'}"
            )
    place = Workplace(
        data=Path(environment["DATA_DIR"]),
        results=Path(environment["RESULT_DIR"]),
        checkpoints=_path(environment, "CKPT_DIR"),
        pretrained=_path(environment, "PRETRAINED_DIR"),
        metrics=_path(environment, "YARD_METRICS"),
    )
    place.results.mkdir(parents=True, exist_ok=True)
    return place


def _path(environment: Mapping[str, str], name: str) -> Path | None:
    return Path(environment[name]) if environment.get(name) else None
