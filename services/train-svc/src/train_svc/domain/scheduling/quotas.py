"""Quotas and shares: what queues, cohorts, groups and users use, kept up as it changes.

Shares are dominant shares: of the resource of which somebody uses the largest part of the cluster, that part, divided
by the weight (Ghodsi et al., Dominant Resource Fairness, NSDI 2011), across groups first and users within them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from train_svc.domain.scheduling.values import Amounts, Queue, Quota


@dataclass(eq=False, slots=True)
class Account:
    """What may be used at most together, what is used, and when what is used ends: (end, id), soonest first. `title` is
    how people are told of it, where that is not its name."""

    name: str
    limit: Mapping[str, int]
    used: dict[str, int] = field(default_factory=dict)
    ends: list[tuple[float, str]] = field(default_factory=list)
    title: str = ""

    def short(self, wanted: Amounts, spared: Amounts | None = None) -> list[Quota]:
        """What is missing for that to be used as well; `spared` is used now and would not be then."""
        found = []
        for resource, limit in self.limit.items():
            asked = wanted.get(resource, 0)
            used = self.used.get(resource, 0) - (spared.get(resource, 0) if spared else 0)
            if asked and used + asked > limit:
                found.append(Quota(self.title or self.name, resource, limit, max(0, limit - used), asked))
        return found

    def fits(self, wanted: Amounts) -> bool:
        """Whether that may be used as well."""
        used = self.used
        for resource, limit in self.limit.items():
            asked = wanted.get(resource, 0)
            if asked and used.get(resource, 0) + asked > limit:
                return False
        return True

    def use(self, amounts: Amounts, sign: int) -> None:
        """Count in, or out with `sign` -1."""
        for resource, amount in amounts.items():
            self.used[resource] = self.used.get(resource, 0) + sign * amount

    def note(self, ends: float, workload: str) -> None:
        """Something that uses it ends then."""
        insort(self.ends, (ends, workload))

    def forget(self, ends: float, workload: str) -> None:
        """It has ended."""
        del self.ends[bisect_left(self.ends, (ends, workload))]


class Quotas:
    """The accounts of all queues and cohorts, and the shares of groups and users."""

    def __init__(self, queues: Iterable[Queue], capacity: Mapping[str, int]) -> None:
        self.queues = {queue.name: queue for queue in queues}
        self.capacity = capacity
        self.accounts = {name: Account(f"queue {name}", _own_limit(queue)) for name, queue in self.queues.items()}
        self.cohorts: dict[str, Account] = {}
        for name, limit in _cohort_limits(self.queues.values()).items():
            self.cohorts[name] = Account(f"cohort {name}", limit)
        self._of = {
            name: tuple(a for a in (self.accounts[name], self.cohorts.get(queue.cohort or "")) if a is not None)
            for name, queue in self.queues.items()
        }
        self._users: dict[tuple[str, str], Account] = {}
        self._used: dict[tuple[str, ...], Counter[str]] = {}
        self._share: dict[tuple[str, ...], float] = {}
        self._weight: dict[str, float] = {}
        self._leaving: dict[str, Counter[str]] = {}
        for queue in self.queues.values():
            self._weight[queue.group] = max(self._weight.get(queue.group, 0.0), queue.weight)

    def of(self, queue: str, user: str) -> tuple[Account, ...]:
        """The accounts that a user's requests in a queue are charged to: the user's own part of it where that has a
        limit, the queue, and its cohort."""
        own = self.of_user(queue, user)
        return self._of[queue] if own is None else (own, *self._of[queue])

    def of_queue(self, queue: str) -> tuple[Account, ...]:
        """The accounts of a queue, whoever uses it: its own, and its cohort."""
        return self._of[queue]

    def of_user(self, queue: str, user: str) -> Account | None:
        """What a user may use of a queue; None where that has no limit of its own."""
        limit = self.queues[queue].per_user
        if not limit:
            return None
        known = self._users.get((queue, user))
        if known is None:
            title = f"owner's part of the queue {queue}"
            known = self._users[queue, user] = Account(f"user {user} of queue {queue}", limit, title=title)
        return known

    def charge(self, queue: str, user: str, amounts: Amounts, sign: int = 1) -> None:
        """Count somebody's use in, or out with `sign` -1."""
        for account in self.of(queue, user):
            account.use(amounts, sign)
        group = self.queues[queue].group
        for key in ((group,), (group, user)):
            used = self._used.setdefault(key, Counter())
            for resource, amount in amounts.items():
                used[resource] += sign * amount
            self._share[key] = max((n / self.capacity[r] for r, n in used.items() if self.capacity.get(r)), default=0.0)

    def shares(self, queue: str, user: str) -> tuple[float, float]:
        """The weighted dominant share of the queue's group, and the user's within it. No weight is the last place."""
        group = self.queues[queue].group
        weight = self._weight[group]
        share = self._share.get((group,), 0.0)
        return share / weight if weight > 0 else float("inf"), self._share.get((group, user), 0.0)

    def borrows(self, queue: str, wanted: Amounts, spared: Amounts | None = None) -> bool:
        """Whether the queue would use more than what it is guaranteed, of anything that its cohort guarantees."""
        found = self.queues[queue]
        cohort = self.cohorts.get(found.cohort or "")
        limited = cohort.limit if cohort is not None else found.guaranteed
        used = self.accounts[queue].used
        return any(
            used.get(r, 0) - (spared.get(r, 0) if spared else 0) + wanted.get(r, 0) > found.guaranteed.get(r, 0)
            for r in limited
            if wanted.get(r, 0)
        )

    def over(self, queue: str, wanted: Amounts, spared: Amounts) -> bool:
        """Whether a queue uses more than its guarantee of what is wanted, without `spared` and what leaves anyway.

        Only of what its cohort guarantees: nothing else can be claimed back.
        """
        found = self.queues[queue]
        cohort = self.cohorts.get(found.cohort or "")
        used, leaving = self.accounts[queue].used, self._leaving.get(queue, Counter())
        return any(
            used.get(r, 0) - leaving.get(r, 0) - spared.get(r, 0) > found.guaranteed.get(r, 0)
            for r in (cohort.limit if cohort is not None else ())
            if wanted.get(r, 0)
        )

    def leaves(self, queue: str, amounts: Amounts, sign: int = 1) -> None:
        """Something of a queue was told to end, or has ended with `sign` -1."""
        leaving = self._leaving.setdefault(queue, Counter())
        for resource, amount in amounts.items():
            leaving[resource] += sign * amount


def _own_limit(queue: Queue) -> dict[str, int]:
    """What a queue may use of its own, whatever others leave."""
    limit = dict(queue.maximum)
    if queue.borrowing is not None:
        for resource, above in queue.borrowing.items():
            most = queue.guaranteed.get(resource, 0) + above
            limit[resource] = min(limit.get(resource, most), most)
    return limit


def _cohort_limits(queues: Iterable[Queue]) -> dict[str, dict[str, int]]:
    """A cohort's queues may use together what they are guaranteed together."""
    limits: dict[str, Counter[str]] = {}
    for queue in queues:
        if queue.cohort is not None:
            limits.setdefault(queue.cohort, Counter()).update(dict(queue.guaranteed))
    return {name: dict(limit) for name, limit in limits.items()}
