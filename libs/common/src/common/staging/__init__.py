"""How a version, a model or code becomes a read-only folder beside a workload: once a node, shared by all."""

from common.staging.local import LocalStaging
from common.staging.splits import split

__all__ = ["LocalStaging", "split"]
