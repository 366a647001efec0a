"""Learning curves: nothing lost, nothing doubled, whoever writes them and whatever is killed."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.db.database import Database
from common.db.migrate import downgrade
from tests.train_svc.conftest import Yard, eventually
from tests.train_svc.test_logs_and_results import events_of
from train_svc.domain.points import Column, from_lines
from train_svc.metrics import Metrics, Place, TooManySeries, Writer
from train_svc.metrics.appending import MERGE_BELOW
from train_svc.metrics.store import MIGRATIONS


async def opened(folder: Path) -> Metrics:
    metrics = Metrics(Database(f"sqlite+aiosqlite:///{folder / 'metrics.sqlite3'}", durable=False), most_series=3)
    await metrics.start()
    return metrics


@pytest.fixture
async def metrics(tmp_path: Path) -> AsyncIterator[Metrics]:
    made = await opened(tmp_path)
    yield made
    await made.close()


BATCHES = st.lists(
    st.lists(st.tuples(st.integers(0, 3000), st.floats(-1e9, 1e9)), min_size=1, max_size=MERGE_BELOW * 2), max_size=6
)


@settings(max_examples=40)
@given(BATCHES)
def test_what_is_read_is_what_was_written_and_of_two_values_the_later(batches) -> None:
    asyncio.run(_written_and_read(batches))


async def _written_and_read(batches: list[list[tuple[int, float]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        metrics = await opened(Path(folder))
        wanted: dict[int, float] = {}
        for batch in batches:
            column = Column([s for s, _ in batch], [v for _, v in batch]).settle()
            await metrics.add({"att": {"loss": column}})
            wanted |= dict(zip(column.steps, column.values, strict=True))
        curves = await metrics.curves("att")
        assert curves.get("loss", []) == sorted(wanted.items())
        if wanted:
            assert (await metrics.latest(["att"]))["att"] == {"loss": wanted[max(wanted)]}
        after = sorted(wanted)[len(wanted) // 2] if wanted else 0
        later = await metrics.news("att", {}, after)
        assert later.get("loss", []) == [(s, v) for s, v in sorted(wanted.items()) if s > after]
        await metrics.close()


async def test_whoever_follows_gets_every_point_once_also_of_metrics_that_come_late(metrics: Metrics) -> None:
    seen: dict[str, Place] = {}
    heard: dict[str, list[tuple[int, float]]] = {}
    for step in range(0, 900, 3):
        await metrics.add({"att": {"loss": Column([step, step + 1], [0.5, 0.25])}})
        if step % 5 == 0:
            await metrics.add({"att": {"accuracy": Column([step], [1.0])}})
        if step % 7 == 0:
            for name, points in (await metrics.news("att", seen, -1)).items():
                heard.setdefault(name, []).extend(points)
    for name, points in (await metrics.news("att", seen, -1)).items():
        heard.setdefault(name, []).extend(points)
    assert heard == await metrics.curves("att")
    assert await metrics.news("att", seen, -1) == {}


async def test_many_single_points_are_few_rows(metrics: Metrics) -> None:
    for step in range(600):
        await metrics.add({"att": {"loss": Column([step], [0.5])}})
    async with metrics.database.reading() as connection:
        rows = (await connection.exec_driver_sql("SELECT count(*) FROM chunks")).scalar_one()
    assert rows <= 3
    assert len((await metrics.curves("att"))["loss"]) == 600


async def test_a_file_is_read_on_by_one_reader_only(metrics: Metrics) -> None:
    points = from_lines(b'{"step": 1, "loss": 1}\n')
    done = await asyncio.gather(*(metrics.follow("att", 0, 23, points) for _ in range(5)))
    assert sorted(done) == [False, False, False, False, True]
    assert await metrics.offset("att") == 23
    assert await metrics.curves("att") == {"loss": [(1, 1.0)]}


async def test_an_attempt_has_a_limited_number_of_metrics(metrics: Metrics) -> None:
    columns = {name: Column([1], [1.0]) for name in "abcd"}
    with pytest.raises(TooManySeries):
        await metrics.add({"att": columns})
    assert await metrics.names("att") == []
    text = b'{"step": 1, "a": 1, "b": 1, "c": 1, "d": 1}\n'
    assert await metrics.follow("att", 0, len(text), from_lines(text))
    assert await metrics.names("att") == ["a", "b", "c"]


async def test_posts_that_come_together_are_committed_together_and_one_wrong_one_harms_no_other(
    metrics: Metrics,
) -> None:
    writer, commits = Writer(metrics), 0
    add = metrics.add

    async def counted(points) -> None:
        nonlocal commits
        commits += 1
        await add(points)

    metrics.add = counted  # type: ignore[method-assign]
    await asyncio.gather(*(writer.add("att", {"loss": Column([n], [float(n)])}) for n in range(200)))
    assert commits < 10
    assert len((await metrics.curves("att"))["loss"]) == 200
    wrong = writer.add("bad", {name: Column([1], [1.0]) for name in "abcd"})
    good = [writer.add("good", {"loss": Column([n], [1.0])}) for n in range(5)]
    results = await asyncio.gather(good[0], wrong, *good[1:], return_exceptions=True)
    assert [type(result) for result in results].count(TooManySeries) == 1
    assert len((await metrics.curves("good"))["loss"]) == 5
    await writer.close()


async def test_forgetting_and_migrating_back(metrics: Metrics) -> None:
    text = b'{"step": 1, "a": 1}\n'
    await metrics.follow("att", 0, len(text), from_lines(text))
    await metrics.forget("att")
    assert (await metrics.curves("att"), await metrics.offset("att")) == ({}, 0)
    await downgrade(metrics.database, MIGRATIONS, "train_metrics@base")
    await metrics.start()


@pytest.mark.row("T11")
async def test_a_job_s_curves_grow_and_are_followed(yard: Yard) -> None:
    job = await yard.job()
    base = f"/jobs/{job['id']}/metrics"
    attempt = await yard.running(job["id"])
    following = asyncio.create_task(yard.alice.get(f"{base}/stream"))
    yard.runtime.says(attempt, metrics=b'{"step": 1, "loss": 1.5, "accuracy": 0.25}\n{"step": 2, "lo')
    yard.context.workloads.wake(attempt)

    async def first() -> bool:
        return (await yard.get(base))["series"] == {"loss": [[1, 1.5]], "accuracy": [[1, 0.25]]}

    await eventually(first)
    yard.runtime.says(attempt, metrics=b'ss": 0.5}\n{"step": 3, "loss": NaN}\n{"step": 4, "loss": 0.125}')
    yard.runtime.ends(attempt)
    ended = await yard.until(job["id"], "succeeded")
    assert ended["metrics"] == {"accuracy": 0.25, "loss": 0.125}
    assert "1 value(s)" in ended["note"]
    whole = await yard.get(f"{base}?points=0&name=loss")
    assert whole == {"attempt": 1, "series": {"loss": [[1, 1.5], [2, 0.5], [4, 0.125]]}}
    heard = events_of((await following).text)
    assert [data for name, _, data in heard if name == "metrics"] == [
        {"step": 1, "loss": 1.5, "accuracy": 0.25},
        {"step": 2, "loss": 0.5},
        {"step": 4, "loss": 0.125},
    ]
    assert heard[-1] == ("end", None, {"state": "succeeded"})
    resumed = await yard.alice.get(f"{base}/stream", headers={"Last-Event-ID": "2"})
    assert [data["step"] for name, _, data in events_of(resumed.text) if name == "metrics"] == [4]


@pytest.mark.row("T11")
async def test_points_are_sent_by_clients_and_thinned_for_screens(yard: Yard) -> None:
    job = await yard.job()
    base = f"/jobs/{job['id']}/metrics"
    await yard.running(job["id"])
    points = [{"step": step, "loss": (step * 7919) % 1000 / 1000} for step in range(10_000)]
    for start in range(0, 10_000, 1000):
        sent = await yard.alice.post(base, json=points[start : start + 1000])
        assert sent.json() == {"accepted": 1000}
    assert (await yard.alice.post(base, json={"step": 10_000, "loss": 5})).json() == {"accepted": 1}
    whole = (await yard.get(f"{base}?points=0"))["series"]["loss"]
    assert whole == [*[[p["step"], p["loss"]] for p in points], [10_000, 5.0]]
    thinned = (await yard.get(base))["series"]["loss"]
    assert len(thinned) <= 2500
    assert thinned[-1] == [10_000, 5.0]
    assert len((await yard.get(f"{base}?points=1"))["series"]["loss"]) <= 4


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[1]", b'[{"loss": 1}]', b'[{"step": 1, "loss": NaN}]', b'[{"step": 1, "loss": "x"}]', b"null"],
)
async def test_points_that_are_none_are_refused_whole(yard: Yard, body: bytes) -> None:
    job = await yard.job()
    await yard.running(job["id"])
    base = f"/jobs/{job['id']}/metrics"
    answer = await yard.alice.post(base, content=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_metrics")
    mixed = json.dumps([{"step": 1, "loss": 1.0}, {"step": 2, "loss": "x"}])
    assert (await yard.alice.post(base, content=mixed)).status_code == 422
    assert (await yard.get(base))["series"] == {}
    large = b'[{"step": 1, "loss": 1}' + b" " * (17 << 20) + b"]"
    assert (await yard.alice.post(base, content=large)).status_code == 413
