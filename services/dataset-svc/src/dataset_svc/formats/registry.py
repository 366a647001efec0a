"""The formats by name. Importing this imports none of them: who only lists them never loads an image library."""

from __future__ import annotations

from importlib import import_module

from common.kernel.errors import Invalid
from dataset_svc.formats.port import Format

_MODULES = {"dir": "dataset_svc.formats.dir"}
"""Each module has its format as `FORMAT`."""


def format_names() -> tuple[str, ...]:
    """Every format there is."""
    return tuple(_MODULES)


def get_format(name: str) -> Format:
    """A format by its name. Raises Invalid (`unknown_format`)."""
    if name not in _MODULES:
        known = ", ".join(_MODULES)
        raise Invalid("unknown_format", f"There is no dataset format {name!r}. Choose one of: {known}.")
    found: Format = import_module(_MODULES[name]).FORMAT
    return found


def formats_for(purpose: str) -> tuple[str, ...]:
    """The formats that can hold a dataset of that purpose."""
    return tuple(name for name in _MODULES if purpose in get_format(name).purposes)
