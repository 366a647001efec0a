"""Live logs and curves, and what waits for work to end."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from tests.yard.stub import TOKEN, Hour, Stub
from yard import Client, YardError
from yard.api.jobs import check_succeeded
from yard.pace import Time
from yard.sse import SILENCE


@pytest.fixture
def job(client: Client) -> str:
    return client.jobs.create("j", algorithm_id="a", dataset_id="d")["id"]


@pytest.mark.row("T12")
def test_a_log_is_followed_to_its_end(client: Client, job: str) -> None:
    assert "".join(client.jobs.follow_log(job)) == "epoch 1\nepoch 2\n"


@pytest.mark.row("T12")
def test_a_log_goes_on_behind_the_last_byte_seen(client: Client, stub: Stub, job: str) -> None:
    stub.break_at("GET", "/log/stream$")
    assert "".join(client.jobs.follow_log(job)) == "epoch 1\nepoch 2\n"
    again = stub.calls("GET", "/log/stream$")[1]
    assert again.query["offset"] == "8"
    assert again.headers["last-event-id"] == "8"


@pytest.mark.row("T11")
def test_curves_are_followed_to_their_end(client: Client, job: str) -> None:
    points = list(client.jobs.follow_metrics(job))
    assert [point["step"] for point in points] == list(range(1, 21))


def test_a_stream_that_cannot_be_taken_up_again_is_told(client: Client, stub: Stub, job: str) -> None:
    stub.break_at("GET", "/log/stream$", times=10_000, before=True)
    with pytest.raises(YardError, match="stream_lost"):
        list(client.jobs.follow_log(job))


@pytest.mark.row("T12")
def test_a_stream_that_is_silent_for_long_is_alive(hour: Hour) -> None:
    """Each connection is quiet for an hour, but for heartbeats, and then lost."""

    def silent() -> Iterator[bytes]:
        yield b": alive\n\n"
        hour.at += 3600
        raise httpx2.ReadError("connection reset")

    lives = iter([silent(), silent(), silent(), iter([b'event: end\ndata: {"state": "succeeded"}\n\n'])])
    headers = {"Content-Type": "text/event-stream"}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=next(lives)))
    with Client("http://stub", TOKEN, transport=transport, hour=Time(hour.now, hour.sleep)) as client:
        assert list(client.jobs.follow_log("job-1")) == []
    assert next(lives, None) is None


@pytest.mark.row("T12")
@pytest.mark.parametrize("broken", [True, False])
def test_a_stream_without_any_sign_of_life_is_dead(hour: Hour, broken: bool) -> None:
    """Each connection is taken, and then nothing comes."""

    def dead() -> Iterator[bytes]:
        hour.at += SILENCE
        if broken:
            raise httpx2.ReadTimeout("timed out")
        yield from ()

    headers = {"Content-Type": "text/event-stream"}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=dead()))
    with (
        Client("http://stub", TOKEN, transport=transport, hour=Time(hour.now, hour.sleep)) as client,
        pytest.raises(YardError, match="stream_lost"),
    ):
        list(client.jobs.follow_log("job-1"))
    assert hour.at < 10 * SILENCE


def test_who_follows_first_while_the_service_is_away_waits_for_it(client: Client, stub: Stub, job: str) -> None:
    stub.away_at("GET", "/log/stream$", 3)
    assert "".join(client.jobs.follow_log(job)) == "epoch 1\nepoch 2\n"


def test_a_stream_whose_service_stays_away_says_who_is(client: Client, stub: Stub, job: str) -> None:
    stub.away_at("GET", "/log/stream$", 10_000)
    with pytest.raises(YardError, match="train-svc is away"):
        list(client.jobs.follow_log(job))


def test_a_stream_that_is_refused_says_why(client: Client) -> None:
    with client.acting("wrong") as stranger, pytest.raises(YardError, match="no_token"):
        list(stranger.jobs.follow_log("job-1"))


def test_a_log_is_read_from_an_offset(client: Client, job: str) -> None:
    assert client.jobs.log(job) == {"text": "epoch 1\nepoch 2\n", "next_offset": 16}
    assert client.jobs.log(job, offset=8)["text"] == "epoch 2\n"


def test_waiting_for_a_job_answers_however_it_ended(client: Client, stub: Stub, job: str) -> None:
    stub.job_state = "failed"
    ended = client.jobs.wait(job)
    assert ended["state"] == "failed"
    with pytest.raises(YardError, match="it ended") as caught:
        check_succeeded(ended)
    assert caught.value.code == "job_failed"


def test_waiting_for_replicas(client: Client, stub: Stub, job: str) -> None:
    model = client.jobs.wait(job)["model_id"]
    service = client.models.publish(str(model), "digits")["service_id"]
    client.services.start(service, 3)
    ready: list[int] = []
    client.services.wait(service, progress=lambda seen: ready.append(seen["ready"]))
    assert ready == [1, 2, 3]
    stub.things["services"][service] |= {"state": "failed", "ready": 3, "detail": "its code ended"}
    with pytest.raises(YardError, match="its code ended"):
        client.services.wait(service)


def test_a_stopped_service_answers_its_problem_at_once(client: Client, stub: Stub, job: str) -> None:
    model = client.jobs.wait(job)["model_id"]
    service = client.services.wait_for(client.models.publish(str(model), "digits")["service_id"])
    with pytest.raises(YardError) as caught:
        client.services.call(service, {"image": b"png"})
    assert (caught.value.status, caught.value.code) == (503, "service_stopped")
    assert len(stub.calls("POST", "^/serve/")) == 1
