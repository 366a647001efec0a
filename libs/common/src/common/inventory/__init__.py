"""Which nodes and devices there are: the local machine's inventory."""

from common.inventory.local import LocalInventory, parse_simulated

__all__ = ["LocalInventory", "parse_simulated"]
