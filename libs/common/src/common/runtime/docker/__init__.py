"""The `docker:` runtime: workloads as containers, each under a supervisor of its own inside the container.

Docker's socket is root, so nothing of a user's becomes its configuration: a typed specification is settled first
(`plan`), and `container` alone turns that into what Docker is told. What a workload writes is read with mistrust
(`records`). Containers go on while the platform, or dockerd with `live-restore`, is down.
"""

from common.runtime.docker.runtime import DockerRuntime
from common.runtime.docker.settings import DockerSettings

__all__ = ["DockerRuntime", "DockerSettings"]
