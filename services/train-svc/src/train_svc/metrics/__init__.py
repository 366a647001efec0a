"""Learning curves, in a database of their own, so that a chatty job never holds up the ledger's writer.

Points are kept packed, some hundreds a row: a curve of a hundred thousand points is read in a few hundred rows. What
was read from a job's metrics file and how far it was read are one commit, so that kill -9 neither loses nor doubles.
"""

from train_svc.metrics.store import Metrics, Place, TooManySeries
from train_svc.metrics.writer import Writer

__all__ = ["Metrics", "Place", "TooManySeries", "Writer"]
