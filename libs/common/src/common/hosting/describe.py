"""Settings as people read them: what there is, and what is wrong with what was given. Never a value that was given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings


@dataclass(frozen=True)
class Variable:
    """One environment variable. `default` is None where it must be set."""

    name: str
    default: str | None
    meaning: str


def variables(settings: type[BaseSettings]) -> list[Variable]:
    """What can be set, in the order of the code."""
    prefix = str(settings.model_config.get("env_prefix", ""))
    return [
        Variable(f"{prefix}{name}".upper(), _shown(field.get_default(call_default_factory=True)), _line(field))
        for name, field in settings.model_fields.items()
    ]


def _shown(default: Any) -> str | None:
    if default is PydanticUndefined:
        return None
    if default is None or isinstance(default, SecretStr) or default in ("", (), {}):
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:.15g}" if isinstance(default, float) else str(default)


def _line(field: Any) -> str:
    return " ".join((field.description or "").split())


def faults(settings: type[BaseSettings], error: ValidationError) -> Iterator[str]:
    """Every fault of what was given, a line each."""
    prefix = str(settings.model_config.get("env_prefix", ""))
    for fault in error.errors(include_input=False, include_context=False, include_url=False):
        said = str(fault["msg"]).removeprefix("Value error, ")
        where = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "missing":
            said = f"must be set: {_line(settings.model_fields[where])}"
        yield f"{prefix}{where.upper()} {said}" if where else said


def as_text(*settings: type[BaseSettings]) -> str:
    """What can be set, for `--help`."""
    lines = []
    for variable in (one for each in settings for one in variables(each)):
        default = "must be set" if variable.default is None else f"default {variable.default or 'none'}"
        lines.append(f"  {variable.name}  ({default})\n      {variable.meaning}")
    return "\n".join(lines)


def as_table(settings: type[BaseSettings]) -> str:
    """What can be set, as a table in Markdown."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for one in variables(settings):
        default = "must be set" if one.default is None else f"`{one.default}`" if one.default else ""
        rows.append(f"| `{one.name}` | {default} | {one.meaning.replace('|', chr(92) + '|')} |")
    return "\n".join(rows)
