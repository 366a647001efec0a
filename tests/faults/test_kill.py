"""kill -9 of the platform at random moments of the journey: it completes, once, and the books balance."""

from pathlib import Path

import pytest

from common.ports.bus import Subscription
from tests.faults.harness import Chaos, balance, plan_of
from tests.faults.journey import PART_BYTES, STAGES, Journey
from tests.support.process import platform


def survive(seed: int, folder: Path, listening: list[Subscription], *, while_starting: float = 0.0) -> str:
    """Run the journey of that seed and give its figures in a line."""
    with platform(DATASET_PART_BYTES=str(PART_BYTES), YARD_LOG_LEVEL="WARNING") as process:
        chaos = Chaos(process, plan_of(seed, STAGES, while_starting=while_starting))
        with process.user("alice", patience=60.0) as client:
            Journey(client, process, chaos, folder).run()
        ledger = balance(process, listening)
        process.stop()
    hit = {name: f"{chaos.hits[name]}" + ("+end" if chaos.late[name] else "") for name in STAGES}
    assert all(chaos.hits[name] + chaos.late[name] for name in STAGES)
    return f"seed {seed}: {process.kills} kills {hit}, {ledger.told} events told, {ledger.effects} effects, each once"


@pytest.mark.row("P6")
@pytest.mark.parametrize("seed", range(1, 6))
def test_the_journey_survives(
    seed: int, engine: Path, listening: list[Subscription], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = survive(seed, tmp_path, listening)
    with capsys.disabled():
        print(f"\n{told}")


@pytest.mark.faults
@pytest.mark.row("P6")
@pytest.mark.parametrize("seed", range(100, 200))
def test_the_journey_survives_a_hundred_times(
    seed: int, engine: Path, listening: list[Subscription], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = survive(seed, tmp_path, listening, while_starting=0.25)
    with capsys.disabled():
        print(f"\n{told}")
