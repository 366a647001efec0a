"""What an algorithm's description must satisfy: everything that is wrong is said at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from algo_svc.domain.interfaces import interface_faults
from algo_svc.domain.parameters import parameter_faults
from common.contracts.shared import CodePart, InferencePart, TrainingPart
from common.kernel.errors import Fault, Invalid
from common.kernel.names import description_faults, name_faults, raise_faults
from common.runtime.environment import check_environment

MOST_WORDS = 128
LONGEST_WORD = 4096
MOST_VARIABLES = 100
LONGEST_VALUE = 32768

_FORMAT = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}")

CONTRACT_VARIABLES = frozenset(
    [
        "DATA_DIR",
        "VALIDATION_DIR",
        "RESULT_DIR",
        "CKPT_DIR",
        "PRETRAINED_DIR",
        "MODEL_DIR",
        "CODE_DIR",
        "PORT",
        "PATH",
        "HOME",
        "TMPDIR",
        "CUDA_VISIBLE_DEVICES",
        "ASCEND_VISIBLE_DEVICES",
    ]
)
"""What the platform itself tells a workload (design §4)."""


def check_algorithm(
    name: str,
    description: str,
    formats: Sequence[str],
    training: TrainingPart,
    inference: InferencePart | None,
) -> None:
    """Raise Invalid (`invalid_algorithm`) with a fault for everything that is wrong."""
    raise_faults("algorithm", _faults(name, description, formats, training, inference))


def _faults(
    name: str,
    description: str,
    formats: Sequence[str],
    training: TrainingPart,
    inference: InferencePart | None,
) -> Iterator[Fault]:
    yield from name_faults(name)
    yield from description_faults(description)
    yield from _format_faults(formats)
    yield from _part_faults("training", training)
    if inference is not None:
        yield from _part_faults("inference", inference)
        if inference.interface is not None:
            yield from interface_faults("inference.interface", inference.interface)


def _format_faults(formats: Sequence[str]) -> Iterator[Fault]:
    if not formats:
        yield Fault("formats", "Name at least one dataset format that it accepts, such as dir.")
    for number, text in enumerate(formats):
        if not _FORMAT.fullmatch(text):
            yield Fault(f"formats.{number}", f"{text[:40]!r} is no format's name.")
    if len(set(formats)) != len(formats):
        yield Fault("formats", "A format is named twice.")


def _part_faults(where: str, part: CodePart) -> Iterator[Fault]:
    if part.engine is not None and part.image is not None:
        yield Fault(f"{where}.image", "Choose an engine or an image, not both.")
    if part.image is not None and not _IMAGE.fullmatch(part.image):
        yield Fault(f"{where}.image", f"{part.image[:60]!r} is no image reference.")
    if not part.devices:
        yield Fault(f"{where}.devices", "Name at least one of cpu, gpu, npu, or another kind of accelerator.")
    yield from _word_faults(f"{where}.command", part.command)
    yield from _word_faults(f"{where}.arguments", part.arguments)
    yield from _environment_faults(f"{where}.environment", part.environment)
    yield from parameter_faults(f"{where}.parameters", part.parameters, reserved_name)


def _word_faults(where: str, words: Sequence[str]) -> Iterator[Fault]:
    if len(words) > MOST_WORDS:
        yield Fault(where, f"At most {MOST_WORDS} words.")
    for number, word in enumerate(words):
        if "\0" in word or len(word) > LONGEST_WORD or (not word and number == 0):
            yield Fault(f"{where}.{number}", f"A word has no NUL and at most {LONGEST_WORD} characters.")


def _environment_faults(where: str, environment: Mapping[str, str]) -> Iterator[Fault]:
    if len(environment) > MOST_VARIABLES:
        yield Fault(where, f"At most {MOST_VARIABLES} variables.")
    for name, value in environment.items():
        if reason := reserved_name(name):
            yield Fault(f"{where}.{name}", reason)
        elif "\0" in value or len(value) > LONGEST_VALUE:
            yield Fault(f"{where}.{name}", f"A value has no NUL and at most {LONGEST_VALUE} characters.")


def reserved_name(name: str) -> str:
    """Why a variable or parameter can't have that name; empty where it can."""
    if name.upper().startswith("YARD_") or name.upper() in CONTRACT_VARIABLES:
        return "The platform itself says something by this name; choose another."
    try:
        check_environment({name: ""})
    except Invalid as problem:
        return problem.faults[0].reason
    return ""
