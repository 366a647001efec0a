"""The simulator: figures that can be counted by hand, the same each time; a picture; traces that say what is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from train_svc.simulate.__main__ import main
from train_svc.simulate.report import jain, report, words
from train_svc.simulate.running import simulate
from train_svc.simulate.traces import KUEUE_BASELINE, bound, cluster, kueue, read

LINES = (
    {"node": {"name": "n", "gpu": 2}},
    {"queue": {"name": "default", "group": "all"}},
    {"job": {"id": "low", "at": 0, "runs": 100, "gpu": 2, "preemptible": True, "checkpoint": 30}},
    {"job": {"id": "high", "at": 50, "runs": 10, "gpu": 1, "priority": 5}},
    {"job": {"id": "never", "at": 60, "runs": 10, "gpu": 3}},
)


def trace_file(folder: Path, *lines: object) -> Path:
    path = folder / "small.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


@pytest.mark.row("T19")
def test_a_trace_that_can_be_followed_by_hand(tmp_path: Path) -> None:
    outcome = simulate(read(trace_file(tmp_path, *LINES)))
    low, high = outcome.courses["low"], outcome.courses["high"]
    # told at 50, gone at 80: two checkpoints of 30 s kept, 20 s lost; back when `high` is done, with 40 s left
    assert (high.began, high.ended) == (80, 90)
    assert (low.preempted, low.lost, low.waited, low.ended) == (1, 20, 10, 130)
    found = report(outcome)
    assert (found.preemptions, found.refused, found.makespan) == (1, 1, 130)
    assert found.lost_hours == pytest.approx(2 * 20 / 3600)
    assert found.utilisation == pytest.approx((2 * 120 + 10) / (2 * 130))
    assert {waiting.name: waiting.mean for waiting in found.sizes} == {"1 GPU": 30, "2 GPU": 10}


def test_a_victim_that_is_done_within_its_grace_is_done(tmp_path: Path) -> None:
    lines = [*LINES[:2], {"job": {**LINES[2]["job"], "runs": 60}}, LINES[3]]
    outcome = simulate(read(trace_file(tmp_path, *lines)))
    assert (outcome.courses["low"].ended, outcome.courses["low"].lost) == (60, 0)
    assert outcome.courses["high"].began == 60


def test_a_simulation_is_the_same_each_time() -> None:
    trace = cluster("small", 8, 150, over=20_000.0)
    first, second = simulate(trace), simulate(trace)
    assert first.courses == second.courses
    assert first.points == second.points


def test_everybody_runs_to_the_end_and_a_picture_shows_it(tmp_path: Path) -> None:
    trace = cluster("small", 16, 150, over=20_000.0)
    outcome = simulate(trace)
    assert all(course.ended is not None or course.refused for course in outcome.courses.values())
    assert "Jain index" in words("small", report(outcome))


@pytest.mark.row("T19")
def test_kueues_shape_in_small_ends_near_the_bound() -> None:
    tenth = [shape._replace(many=shape.many // 5) for shape in KUEUE_BASELINE]
    trace = kueue("kueue-tenth", 1, 6, tenth, preempt=False)
    outcome = simulate(trace)
    assert outcome.makespan <= 1.10 * bound(trace)
    preempting = kueue("kueue-tenth", 1, 6, tenth, preempt=True)
    assert simulate(preempting).preemptions > 0


def test_the_command_prints_figures_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "plot.png"
    assert main([str(trace_file(tmp_path, *LINES)), "--plot", str(picture)]) == 0
    assert "utilisation" in capsys.readouterr().out
    with Image.open(picture) as image:
        assert image.size == (1200, 900)
        assert len(image.convert("RGB").getcolors(1 << 20) or ()) > 5
    assert main([str(trace_file(tmp_path, *LINES)), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["preemptions"] == 1


@pytest.mark.parametrize("line", [{"job": {"id": "x"}}, {"cat": {}}, [1], {"node": 3}])
def test_a_line_that_is_wrong_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], line: object) -> None:
    assert main([str(trace_file(tmp_path, LINES[0], line))]) == 2
    assert "line 2" in capsys.readouterr().err
    assert main([str(tmp_path / "none")]) == 2


def test_jains_index() -> None:
    assert jain([1, 1, 1]) == 1
    assert jain([1, 0, 0, 0]) == 0.25
    assert jain([]) == 1


def test_the_bound_is_of_the_work_or_of_the_last_arrival() -> None:
    trace = kueue("k", 2, 3, KUEUE_BASELINE, preempt=False)
    assert bound(trace) == pytest.approx(66.0)
    assert bound(replace(trace, jobs=trace.jobs[:10])) < 66
