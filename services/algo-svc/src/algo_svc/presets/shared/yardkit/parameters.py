"""The declared parameters of an algorithm, from its definition, the environment and the arguments.

`algorithm.json` is the only declaration: the platform draws its form from it, and the program reads it here.
Arguments win over the environment, and the environment over the defaults.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .process import Refused, say

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def read(definition: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """Value of every parameter that the definition's training part declares.

    Raises `Refused` for a value of the wrong type or outside its limits. Arguments that the definition does
    not declare are named in the log and ignored: the platform passes some (such as addresses) to every job.
    """
    declared = json.loads(definition.read_text(encoding="utf-8"))["training"]["parameters"]
    given = _arguments(arguments)
    values = {}
    for parameter in declared:
        name = parameter["name"]
        text = given.pop(name.lower(), environment.get(name.upper(), environment.get(name)))
        values[name] = parameter["default"] if text is None else convert(parameter, text)
    for name in given:
        say(f"ignoring the argument --{name}, which this algorithm doesn't declare")
    return values


def _arguments(arguments: Sequence[str]) -> dict[str, str]:
    """`--name value` and `--name=value` as a mapping; names in lower case."""
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            raise Refused(f"unexpected argument {word!r}: give parameters as --name value")
        name, equals, value = word[2:].partition("=")
        if not equals:
            if not rest:
                raise Refused(f"the argument --{name} has no value: give parameters as --name value")
            value = rest.pop(0)
        given[name.lower().replace("-", "_")] = value
    return given


def convert(parameter: Mapping[str, Any], text: str) -> Any:
    """One value as the declared type, checked against `minimum`, `maximum` and `choices`; else `Refused`."""
    try:
        value = _typed(parameter["type"], text)
    except ValueError:
        raise Refused(f"parameter {parameter['name']}: {text!r} is not of type {parameter['type']}") from None
    if "minimum" in parameter and value < parameter["minimum"]:
        raise Refused(f"parameter {parameter['name']}: {text} is less than {parameter['minimum']}")
    if "maximum" in parameter and value > parameter["maximum"]:
        raise Refused(f"parameter {parameter['name']}: {text} is more than {parameter['maximum']}")
    if "choices" in parameter and value not in parameter["choices"]:
        choices = ", ".join(map(str, parameter["choices"]))
        raise Refused(f"parameter {parameter['name']}: {text!r} is not one of {choices}")
    return value


def _typed(kind: str, text: str) -> int | float | bool | str:
    """`text` as a value of the declared type; raises ValueError."""
    if kind == "integer":
        return int(text)
    if kind == "number":
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(text)
        return number
    if kind == "boolean":
        if text.lower() not in TRUE | FALSE:
            raise ValueError(text)
        return text.lower() in TRUE
    return text
