"""Resources as people say them, for every answer that names some."""

from __future__ import annotations

from common.contracts.shared import Resources

_UNITS = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def bytes_in_words(amount: int) -> str:
    """Such as `1.5 GiB`."""
    for size, name in _UNITS:
        if amount >= size:
            return f"{amount / size:.3g} {name}"
    return f"{amount} B"


def resources_in_words(resources: Resources) -> str:
    """Such as `2 nodes with 4 CPUs, 8 GiB of memory and 1 GPU each`."""
    parts = [f"{resources.cpu:g} CPU{'' if resources.cpu == 1 else 's'}"]
    if resources.memory:
        parts.append(f"{bytes_in_words(resources.memory)} of memory")
    if resources.count:
        kind = (resources.accelerator or "accelerator").upper()
        model = f" ({resources.model})" if resources.model else ""
        parts.append(f"{resources.count} {kind}{'' if resources.count == 1 else 's'}{model}")
    joined = " and ".join((", ".join(parts[:-1]), parts[-1])) if len(parts) > 1 else parts[0]
    return f"{resources.nodes} nodes with {joined} each" if resources.nodes > 1 else joined
