"""The `process:` runtime: workloads as processes of this machine, each under a supervisor that outlives the platform.

Linux only: it stands on /proc, pidfds and, where it may use them, control groups. It is one trust domain, for one
person or team; as root it gives every owner's workloads a user of their own. What is not enforced on a machine is
absent from `capabilities` and said in `notes`.
"""

from common.runtime.process.plan import LaunchFailed
from common.runtime.process.runtime import ProcessRuntime

__all__ = ["LaunchFailed", "ProcessRuntime"]
