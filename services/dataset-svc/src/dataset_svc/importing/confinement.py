"""The walls around a process that reads what strangers sent: limits, a user of its own, none of our secrets."""

from __future__ import annotations

import os
import resource

from dataset_svc.importing.request import ChildLimits

_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LANG", "LC_ALL", "LD_LIBRARY_PATH")


def environment() -> dict[str, str]:
    """What a child needs to find its code, and nothing else of the platform's environment."""
    return {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}


def confine(limits: ChildLimits, cpu_seconds: int, folder: str | None = None) -> None:
    """Take the limits on (setrlimit(2)), become the user asked for, who then owns `folder`, and start no process any
    more. Files that are not open yet may be out of reach from here on."""
    for kind, value in (
        (resource.RLIMIT_AS, limits.memory),
        (resource.RLIMIT_NOFILE, limits.files),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
    if limits.uid is not None and os.geteuid() == 0:
        gid = limits.uid if limits.gid is None else limits.gid
        if folder is not None:
            os.chown(folder, limits.uid, gid)
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(limits.uid, limits.uid, limits.uid)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
