"""What operators want to know of the scheduler: who waits, and which devices are in use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from common.contracts.allocation import Workload
from common.kernel.clock import Clock
from common.telemetry.figures import Figure
from train_svc.context import Context
from train_svc.domain.allocation import Allocation
from train_svc.ledger import QUEUE, granted_now, waiting_in_order

Labels = tuple[str, str, str]


async def scheduler(context: Context) -> Sequence[Figure]:
    """Requests that wait, the longest wait, and the devices of each node by kind; simulated ones are labelled so."""
    async with context.kit.store.reading() as connection:
        waiting, granted = await waiting_in_order(connection), await granted_now(connection)
    return [*_queue(context.kit.store.clock, waiting), *_devices(context, granted)]


def _queue(clock: Clock, waiting: Sequence[Allocation]) -> list[Figure]:
    names = sorted({QUEUE, *(one.queue for one in waiting)})
    longest = dict.fromkeys(names, 0.0)
    for one in waiting:
        longest[one.queue] = max(longest[one.queue], (clock.now() - (one.since or one.created_at)).total_seconds())
    counts = Counter((one.queue, one.kind) for one in waiting)
    kinds: tuple[Workload, ...] = ("job", "notebook", "replica")
    depth = [({"queue": name, "kind": kind}, float(counts[name, kind])) for name in names for kind in kinds]
    waited = [({"queue": name}, seconds) for name, seconds in longest.items()]
    return [
        Figure("modelyard_queue_waiting", "Workloads that wait for capacity", depth),
        Figure("modelyard_queue_wait_seconds", "How long the first of them has waited", waited),
    ]


def _devices(context: Context, granted: Sequence[Allocation]) -> list[Figure]:
    used = {(place.node, device) for one in granted for place in one.placements for device in place.devices}
    total: Counter[Labels] = Counter()
    in_use: Counter[Labels] = Counter()
    for node in context.ledger.nodes:
        for device in node.devices:
            labels = (node.name, device.kind, str(device.simulated).lower())
            total[labels] += 1
            in_use[labels] += (node.name, device.id) in used
    return [
        Figure("modelyard_devices", "Devices there are", _labelled(total)),
        Figure("modelyard_devices_in_use", "Devices that are promised to a workload", _labelled(in_use)),
    ]


def _labelled(counts: Counter[Labels]) -> list[tuple[dict[str, str], float]]:
    return [(dict(zip(("node", "kind", "simulated"), labels, strict=True)), float(n)) for labels, n in counts.items()]
