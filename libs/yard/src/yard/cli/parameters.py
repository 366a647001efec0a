"""What people type after `-p`, `--memory` and `--time-limit`, as what the platform takes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from yard.errors import YardError

_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


def split(pairs: list[str] | None) -> list[tuple[str, str]]:
    """`NAME=VALUE` texts as pairs. Raises YardError (`bad_option`)."""
    found = []
    for text in pairs or ():
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise YardError("bad_option", f"{text!r} must be NAME=VALUE.")
        found.append((name, value))
    return found


def typed(given: list[str] | None, declared: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`NAME=VALUE` texts with the types that the algorithm declares; what can't be read is left for the platform to
    refuse, which knows best. Raises YardError (`bad_option`)."""
    types = {str(one["name"]): str(one.get("type", "string")) for one in declared}
    return {name: _value(text, types.get(name, "string")) for name, text in split(given)}


def _value(text: str, type: str) -> Any:
    try:
        if type == "integer":
            return int(text)
        if type == "number":
            return float(text)
    except ValueError:
        return text
    if type == "boolean" and text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    return text


def resources_of(
    spec: str | None,
    cpu: float | None,
    memory: str | None,
    gpu: int,
    npu: int,
    *,
    accelerator: str | None = None,
    nodes: int = 1,
    cluster: str | None = None,
    label: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The resource request; `accelerator` as `KIND` or `KIND:COUNT`, or `KIND:COUNT:MODEL`. Raises YardError
    (`bad_option`)."""
    if bool(gpu) + bool(npu) + bool(accelerator) > 1:
        raise YardError("bad_option", "Ask for one of --gpu, --npu and --accelerator.")
    given = {"cpu": cpu, "memory": size(memory) if memory else None}
    asked: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if gpu or npu:
        asked |= {"accelerator": "gpu" if gpu else "npu", "count": gpu or npu}
    if accelerator:
        asked |= _accelerator(accelerator)
    if spec and asked:
        raise YardError("bad_option", "Give --spec, or --cpu, --memory, --gpu, --npu and --accelerator, not both.")
    where = {"nodes": nodes if nodes > 1 else None, "cluster": cluster, "selectors": labels_of(label) or None}
    return (asked or {"spec": spec or "small"}) | {name: value for name, value in where.items() if value is not None}


def replica_resources(
    cpu: float | None, memory: str | None, accelerator: str | None, cluster: str | None, label: Sequence[str] | None
) -> dict[str, Any] | None:
    """What each replica of a service is to get; None where nothing is said. Raises YardError (`bad_option`)."""
    asked: dict[str, Any] = {"cpu": cpu, "memory": size(memory) if memory else None, "cluster": cluster}
    asked |= {"selectors": labels_of(label) or None, **(_accelerator(accelerator) if accelerator else {})}
    return {name: value for name, value in asked.items() if value is not None} or None


def _accelerator(text: str) -> dict[str, Any]:
    kind, _, rest = text.partition(":")
    count, _, model = rest.partition(":")
    if not kind or (rest and not count.isdecimal()):
        raise YardError("bad_option", f"{text!r} asks for no accelerators. Write it like gpu:2, or gpu:2:A100.")
    return {"accelerator": kind, "count": int(count or 1)} | ({"model": model} if model else {})


def labels_of(told: Sequence[str] | None) -> dict[str, str]:
    """Labels from `KEY=VALUE`. Raises YardError (`bad_option`)."""
    return dict(split(list(told or ())))


def size(text: str) -> int:
    """Bytes: `512M`, `2GiB` (powers of 1024), `2GB` (powers of 1000). Raises YardError (`bad_option`)."""
    if (told := _MEMORY.fullmatch(text.strip())) is None:
        raise YardError("bad_option", f"{text!r} is no amount of memory. Write it like 512MiB or 2GiB.")
    amount, unit, binary = told.groups()
    decimal = text.strip().lower().endswith("b") and not binary and unit
    return int(float(amount) * (1000 if decimal else 1024) ** _POWERS[unit.lower()])


def seconds(text: str) -> int:
    """Seconds: `90`, `90s`, `30m`, `12h`, `3d`. Raises YardError (`bad_option`)."""
    if (told := _SPAN.fullmatch(text.strip().lower())) is None:
        raise YardError("bad_option", f"{text!r} is no time. Write it like 90s, 30m, 12h or 3d.")
    return round(float(told[1]) * _SECONDS[told[2]])
