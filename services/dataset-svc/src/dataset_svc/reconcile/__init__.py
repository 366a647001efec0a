"""What dataset-svc does by itself: importing, and tidying up after uploads, imports and deleted datasets."""

from dataset_svc.reconcile.imports import Imports
from dataset_svc.reconcile.tidy import Tidy

__all__ = ["Imports", "Tidy"]
