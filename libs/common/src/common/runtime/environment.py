"""Which environment variables a workload may be given: names that can't subvert what starts it.

The same in every runtime, so that a job that is accepted on one is accepted on all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from common.kernel.errors import Fault, Invalid

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_REFUSED = re.compile(r"(LD_.*|PYTHON.*|DYLD_.*|GLIBC_TUNABLES|BASH_ENV|ENV|IFS|(.*_)?PROXY)\Z")


def check_environment(environment: Mapping[str, str]) -> None:
    """Raise Invalid (`bad_environment`), with a fault for each, where a name is no name or steers the loader
    (`LD_*`), the interpreter (`PYTHON*`), the shell or the way out (proxies), or a value holds a NUL."""
    faults = [
        Fault(f"environment.{name}", reason) for name, value in environment.items() if (reason := _fault(name, value))
    ]
    if faults:
        names = ", ".join(fault.where.removeprefix("environment.") for fault in faults)
        raise Invalid(
            "bad_environment",
            f"These environment variables can't be given to a workload: {names}. Choose other names.",
            faults=faults,
        )


def _fault(name: str, value: str) -> str:
    if not _NAME.match(name):
        return "A name has letters, digits and underscores, and starts with no digit."
    if _REFUSED.match(name.upper()):
        return "It would change how the platform starts programs, so it is refused."
    if "\0" in value:
        return "A value can't hold a NUL character."
    return ""
