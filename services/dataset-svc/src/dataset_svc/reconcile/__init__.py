"""What dataset-svc does by itself: importing, building formatted sets, tidying up after what is given up or deleted."""

from dataset_svc.reconcile.imports import Imports
from dataset_svc.reconcile.sets import Sets
from dataset_svc.reconcile.tidy import Tidy

__all__ = ["Imports", "Sets", "Tidy"]
