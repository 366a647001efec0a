"""The loops: replicas kept at the number wanted, and watched whether they answer."""

from serving_svc.reconcile.hooks import ReplicaHooks
from serving_svc.reconcile.keeping import Keeper
from serving_svc.reconcile.readiness import Readiness

__all__ = ["Keeper", "Readiness", "ReplicaHooks"]
