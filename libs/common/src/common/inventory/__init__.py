"""Which nodes and devices there are: this machine's, those that a file declares, or those that the runtime tells of."""

from common.inventory.daemon import DaemonInventory
from common.inventory.declared import parse_declared
from common.inventory.file import FileInventory
from common.inventory.local import LocalInventory, parse_simulated

__all__ = ["DaemonInventory", "FileInventory", "LocalInventory", "parse_declared", "parse_simulated"]
