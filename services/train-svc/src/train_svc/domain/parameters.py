"""The values a job gives for the parameters that its algorithm declares (rows A2, T1)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from common.contracts.shared import Parameter
from common.kernel.errors import Fault

LONGEST_TEXT = 4096


def parameter_faults(declared: Iterable[Parameter], given: Mapping[str, Any]) -> Iterator[Fault]:
    """Everything that is wrong: unknown names, missing ones, wrong types, values out of range or not among the choices.

    A parameter whose default is None must be given, whether it says `required` or not.
    """
    known = {parameter.name: parameter for parameter in declared}
    for name in given:
        if name not in known:
            offered = f"it declares {', '.join(sorted(known))}" if known else "it declares none"
            yield Fault(f"parameters.{name}", f"The algorithm has no such parameter; {offered}.")
    for name, parameter in known.items():
        if given.get(name) is None:
            if parameter.default is None:
                yield Fault(f"parameters.{name}", f"It must be given: a {parameter.type} without a default.")
        elif reason := value_fault(parameter, given[name]):
            yield Fault(f"parameters.{name}", reason)


def settled(declared: Iterable[Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every declared parameter. `given` has no faults."""
    return {
        parameter.name: parameter.default if given.get(parameter.name) is None else given[parameter.name]
        for parameter in declared
    }


def value_fault(parameter: Parameter, value: Any) -> str:
    """Why `value` is none that the parameter takes; empty where it is one."""
    if not _is_of_type(parameter.type, value):
        return f"{str(value)[:60]!r} is no {parameter.type}."
    if parameter.minimum is not None and value < parameter.minimum:
        return f"It is below the minimum {parameter.minimum:g}."
    if parameter.maximum is not None and value > parameter.maximum:
        return f"It is above the maximum {parameter.maximum:g}."
    if parameter.choices and value not in parameter.choices:
        return f"It is none of {', '.join(map(str, parameter.choices))}."
    return ""


def _is_of_type(kind: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, str):
        return kind == "string" and len(value) <= LONGEST_TEXT and "\0" not in value
    if isinstance(value, int):
        return kind in ("integer", "number")
    return kind == "number" and isinstance(value, float) and math.isfinite(value)


def as_text(value: Any) -> str:
    """A value as it stands on a command line and in the environment."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
