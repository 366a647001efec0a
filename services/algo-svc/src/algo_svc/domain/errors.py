"""What algo-svc refuses, beyond the general problems."""

from __future__ import annotations

from common.kernel.errors import Conflict, Fault, Invalid


class StillOnline(Conflict):
    """409 `algorithm_online`: others may be choosing it at this moment."""

    def __init__(self, algorithm: str, what: str) -> None:
        super().__init__("algorithm_online", f"{algorithm} is online: {what}. Take it offline first.")


class BadPackage(Invalid):
    """422 `bad_code_package`: the zip is damaged, or holds what a code package must not hold."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__("bad_code_package", f"{where}: {reason}", faults=[Fault(where, reason)])
