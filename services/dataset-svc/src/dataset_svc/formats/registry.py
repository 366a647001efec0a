"""The formats by name: the modules of `formats.known`. Listing them imports none, so it loads no image library."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from common.kernel.errors import Invalid
from dataset_svc.formats import known
from dataset_svc.formats.port import Format


@cache
def format_names() -> tuple[str, ...]:
    """Every format there is."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(known.__path__)))


def get_format(name: str) -> Format:
    """A format by its name. Raises Invalid (`unknown_format`)."""
    if name not in format_names():
        names = ", ".join(format_names())
        raise Invalid("unknown_format", f"There is no dataset format {name!r}. Choose one of: {names}.")
    found: Format = import_module(f"{known.__name__}.{name}").FORMAT
    return found


def formats_for(purpose: str) -> tuple[str, ...]:
    """The formats that can hold a dataset of that purpose."""
    return tuple(name for name in format_names() if purpose in get_format(name).purposes)


def purposes() -> dict[str, tuple[str, ...]]:
    """Every format with the purposes that it can hold."""
    return {name: get_format(name).purposes for name in format_names()}


def check_purpose(name: str, purposes: tuple[str, ...], purpose: str) -> None:
    """Raise Invalid (`format_purpose`) where a format can't hold what a dataset is for."""
    if purpose not in purposes:
        can = ", ".join(purposes)
        raise Invalid("format_purpose", f"The format {name!r} can't hold a dataset for {purpose!r}, only for: {can}.")
