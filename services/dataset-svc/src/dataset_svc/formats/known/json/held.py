"""Faults that hold only if a file turns out to be what it was read as."""

from __future__ import annotations

from collections import Counter
from typing import Literal, NamedTuple

from dataset_svc.formats.port import Sink

Severity = Literal["error", "warning"]
MOST = 1_000
"""Errors of one file that are kept with their reasons, and warnings: no fewer than a report has room for."""


class _Fault(NamedTuple):
    severity: Severity
    code: str
    file: str
    reason: str
    line: int | None = None


class Held:
    """A sink that keeps all back until `pass_on`, and from then on passes all on. It stays small: of the faults beyond
    MOST it keeps only how many there are."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._holds = True
        self._kept: list[_Fault] = []
        self._times: Counter[Severity] = Counter()
        self._more: Counter[_Fault] = Counter()

    def error(self, code: str, file: str, reason: str, line: int | None = None) -> None:
        """See Sink."""
        self._take(_Fault("error", code, file, reason, line))

    def warning(self, code: str, file: str, reason: str, line: int | None = None) -> None:
        """See Sink."""
        self._take(_Fault("warning", code, file, reason, line))

    def pass_on(self) -> None:
        """What was kept holds."""
        self._holds = False
        for fault in self._kept:
            self._tell(fault)
        for fault, times in self._more.items():
            for _ in range(times):
                self._tell(fault)
        self._kept, self._more = [], Counter()

    def _take(self, fault: _Fault) -> None:
        self._times[fault.severity] += 1
        if not self._holds:
            self._tell(fault)
        elif self._times[fault.severity] <= MOST:
            self._kept.append(fault)
        else:
            self._more[fault._replace(reason=_MORE, line=None)] += 1

    def _tell(self, fault: _Fault) -> None:
        tell = self._sink.error if fault.severity == "error" else self._sink.warning
        tell(*fault[1:])


_MORE = f"There are more than {MOST:,} faults in this file; of those behind them no more than their number is told."
