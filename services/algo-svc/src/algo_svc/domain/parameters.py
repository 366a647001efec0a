"""The parameters that an algorithm declares: types, ranges, choices and defaults that agree (row A2)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from common.contracts.shared import Parameter
from common.kernel.errors import Fault
from common.kernel.names import description_faults

MOST_PARAMETERS = 100
LONGEST_TEXT = 4096

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def parameter_faults(where: str, parameters: Sequence[Parameter], reserved: Callable[[str], str]) -> Iterator[Fault]:
    """What is wrong with a list of declarations. `reserved(name)` gives a reason where a name is taken.

    A parameter is passed both as `--name value` and as an environment variable, so two that differ only in case are
    one too many.
    """
    if len(parameters) > MOST_PARAMETERS:
        yield Fault(where, f"At most {MOST_PARAMETERS} parameters.")
    seen: set[str] = set()
    for number, parameter in enumerate(parameters):
        at = f"{where}.{number}"
        if not _NAME.fullmatch(parameter.name):
            yield Fault(f"{at}.name", "A name has up to 64 letters, digits and underscores, and starts with no digit.")
        elif reason := reserved(parameter.name):
            yield Fault(f"{at}.name", reason)
        if parameter.name.casefold() in seen:
            yield Fault(f"{at}.name", f"{parameter.name!r} is declared twice.")
        seen.add(parameter.name.casefold())
        yield from _declaration_faults(at, parameter)


def _declaration_faults(at: str, parameter: Parameter) -> Iterator[Fault]:
    yield from description_faults(parameter.description, f"{at}.description")
    low, high = parameter.minimum, parameter.maximum
    if (low is not None or high is not None) and parameter.type not in ("integer", "number"):
        yield Fault(f"{at}.minimum", f"A {parameter.type} has no range.")
    if any(bound is not None and not math.isfinite(bound) for bound in (low, high)):
        yield Fault(f"{at}.minimum", "A bound is a finite number.")
    if low is not None and high is not None and low > high:
        yield Fault(f"{at}.minimum", "The minimum is above the maximum.")
    if parameter.choices is not None:
        yield from _choice_faults(at, parameter)
    if parameter.default is not None and (reason := value_fault(parameter, parameter.default)):
        yield Fault(f"{at}.default", reason)


def _choice_faults(at: str, parameter: Parameter) -> Iterator[Fault]:
    choices = parameter.choices or ()
    if not choices:
        yield Fault(f"{at}.choices", "Name at least one choice, or leave them out.")
    for number, choice in enumerate(choices):
        if reason := _type_fault(parameter, choice) or _range_fault(parameter, choice):
            yield Fault(f"{at}.choices.{number}", reason)
        if choice in choices[:number]:
            yield Fault(f"{at}.choices.{number}", f"{choice!r} is named twice.")


def value_fault(parameter: Parameter, value: Any) -> str:
    """Why `value` is none that the parameter takes; empty where it is one."""
    if reason := _type_fault(parameter, value) or _range_fault(parameter, value):
        return reason
    if parameter.choices and value not in parameter.choices:
        return f"It is none of {', '.join(map(str, parameter.choices))}."
    return ""


def _type_fault(parameter: Parameter, value: Any) -> str:
    fits = {
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value),
        "boolean": isinstance(value, bool),
        "string": isinstance(value, str) and len(value) <= LONGEST_TEXT and "\0" not in value,
    }[parameter.type]
    return "" if fits else f"{str(value)[:60]!r} is no {parameter.type}."


def _range_fault(parameter: Parameter, value: Any) -> str:
    if parameter.minimum is not None and value < parameter.minimum:
        return f"It is below the minimum {parameter.minimum:g}."
    if parameter.maximum is not None and value > parameter.maximum:
        return f"It is above the maximum {parameter.maximum:g}."
    return ""
