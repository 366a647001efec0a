"""How single values look to people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_COLOURS = {
    "green": {"online", "ready", "running", "succeeded", "active", "granted", "yes"},
    "red": {"failed", "timed_out", "refused", "lost"},
    "yellow": {"queued", "waiting", "preparing", "starting", "building", "stopping", "allocated", "scaling"},
    "bright_black": {"draft", "empty", "stopped", "offline", "absent", "cancelled", "released", "no"},
}


def plain(value: Any) -> str:
    """As it is; nothing for None, `yes` and `no` for booleans."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def size(value: Any) -> str:
    """Bytes in powers of 1024."""
    if value is None:
        return ""
    number, unit = float(value), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.0f} B" if unit == 0 else f"{number:.1f} {_UNITS[unit]}"


def changes(value: Any) -> str:
    """`{field: [before, after]}`, a field a line."""
    return "\n".join(f"{name}: {before} → {after}" for name, (before, after) in (value or {}).items())


def totals(value: Mapping[str, Mapping[str, int]]) -> str:
    """How many files there are of each kind, and their bytes."""
    return ", ".join(f"{one['files']} {kind} ({size(one['bytes'])})" for kind, one in value.items() if one["files"])


def percent(value: Any) -> str:
    """A share from 0 to 1."""
    return "" if value is None else f"{float(value) * 100:.0f} %"


def placements(value: Any) -> str:
    """Where something runs: nodes with their devices, and which of them are simulated."""
    told = []
    for place in value or ():
        devices = f": {' '.join(place['devices'])}" if place.get("devices") else ""
        told.append(f"{place['node']}{devices}{' (simulated)' if place.get('simulated') else ''}")
    return "; ".join(told)


def said(value: Any) -> str:
    """What is told in sentences."""
    return " ".join(value["sentences"]) if value else ""


def moment(value: Any) -> str:
    """A time in the zone of this machine, to the second."""
    if not value:
        return ""
    try:
        told = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return str(value)
    return (told if told.tzinfo else told.replace(tzinfo=UTC)).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def pairs(value: Any) -> str:
    """A mapping as `name=value …`; a list as its items."""
    if isinstance(value, Mapping):
        return "  ".join(f"{name}={plain(one)}" for name, one in value.items() if one is not None)
    if isinstance(value, list | tuple):
        return ", ".join(pairs(one) for one in value)
    return plain(value)


def resources(value: Any) -> str:
    """What a workload asks for or has."""
    if not isinstance(value, Mapping):
        return plain(value)
    shown = {**value, "memory": size(value["memory"]) if value.get("memory") else None}
    if shown.get("nodes") == 1:
        shown["nodes"] = None
    return pairs({name: one or None for name, one in shown.items()})


def name_of(value: Any) -> str:
    """The name of a resource that another one mentions."""
    if isinstance(value, Mapping):
        return plain(value.get("name") or value.get("id"))
    return plain(value)


def mounts(value: Any) -> str:
    """What a job mounts: `photos (lab, read-only)`."""
    modes = {True: "read-only", False: "writable"}
    return ", ".join(f"{one['at']} ({one['name']}, {modes[one['read_only']]})" for one in value or ())


def lines(value: Any) -> str:
    """A mapping, one pair a line."""
    if not isinstance(value, Mapping):
        return plain(value)
    return "\n".join(f"{name}: {pairs(one)}" for name, one in value.items())


def duration(seconds: float) -> str:
    """A time span: `0.4 s`, `3 min 20 s`, `72 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{amount} {unit}" for amount, unit in parts if amount)


def colour(word: str) -> str:
    """The style in which a state is shown, empty for any other word."""
    return next((style for style, words in _COLOURS.items() if word in words), "")
