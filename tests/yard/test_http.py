"""What is sent again, what isn't, and how failures are told."""

from __future__ import annotations

import socket

import httpx2
import pytest

from tests.yard.stub import KEY, TOKEN, Hour, Stub
from yard import Client, YardError
from yard.http import is_loopback, normal_address
from yard.pace import Patience, Time


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("127.0.0.1:8765", "http://127.0.0.1:8765"),
        (" http://yard.example/ ", "http://yard.example"),
        ("https://yard.example/api/v1/", "https://yard.example"),
        ("http://host/behind/a/path/", "http://host/behind/a/path"),
    ],
)
def test_addresses_as_people_paste_them(given: str, wanted: str) -> None:
    assert normal_address(given) == wanted


@pytest.mark.parametrize("given", ["", "ftp://host", "http://"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(YardError, match="bad_address"):
        normal_address(given)


def test_loopback_is_recognised_so_that_no_proxy_is_asked() -> None:
    assert all(is_loopback(f"http://{host}:1") for host in ("127.0.0.1", "127.8.8.8", "localhost", "[::1]"))
    assert not is_loopback("http://yard.example")


def test_a_problem_document_becomes_an_error_with_its_faults(client: Client) -> None:
    with pytest.raises(YardError) as caught:
        client.datasets.create("", purpose="x/y")
    error = caught.value
    assert (error.code, error.status) == ("invalid_dataset", 422)
    assert [(fault.where, fault.reason) for fault in error.faults] == [
        ("name", "It is empty."),
        ("purpose", "Unknown."),
    ]
    assert "name: It is empty." in str(error)


def test_an_answer_that_is_no_problem_document_is_told_shortly() -> None:
    transport = httpx2.MockTransport(lambda request: httpx2.Response(502, text="<html>\n bad   gateway</html>"))
    with Client("http://stub", TOKEN, transport=transport) as client, pytest.raises(YardError) as caught:
        client.users.me()
    assert caught.value.code == "http_502"
    assert "bad gateway" in caught.value.detail


def test_a_create_whose_answer_was_lost_is_sent_again_and_done_once(client: Client, stub: Stub) -> None:
    stub.break_at("POST", "/datasets$", 2)
    made = client.datasets.create("digits", purpose="image/classification")
    sent = stub.calls("POST", "/datasets$")
    assert len(sent) == 3
    assert len({one.headers["idempotency-key"] for one in sent}) == 1
    assert list(stub.things["datasets"]) == [made["id"]]


def test_two_creates_have_two_keys(client: Client, stub: Stub) -> None:
    first = client.datasets.create("digits", purpose="image/classification")
    second = client.datasets.create("digits", purpose="image/classification")
    assert first["id"] != second["id"]


def test_starting_a_job_again_is_never_sent_twice(client: Client, stub: Stub) -> None:
    job = client.jobs.create("j", algorithm_id="a", dataset_id="d")
    stub.break_at("POST", "/start$")
    with pytest.raises(YardError, match="connection_lost"):
        client.jobs.start(job["id"])
    assert len(stub.calls("POST", "/start$")) == 1


def test_a_verb_whose_answer_was_lost_is_not_refused_for_its_own_effect(client: Client, stub: Stub) -> None:
    stub.minds_states = True
    made = client.datasets.create("digits", purpose="image/classification")
    stub.break_at("POST", "/online$")
    assert client.datasets.online(made["id"])["online"] is True
    assert len(stub.calls("POST", "/online$")) == 2


def test_a_verb_that_was_sent_once_is_refused_where_it_makes_no_sense(client: Client, stub: Stub) -> None:
    stub.minds_states = True
    made = client.datasets.create("digits", purpose="image/classification")
    client.datasets.online(made["id"])
    with pytest.raises(YardError, match="illegal_state"):
        client.datasets.online(made["id"])


def test_a_deletion_whose_answer_was_lost_succeeds(client: Client, stub: Stub) -> None:
    made = client.datasets.create("digits", purpose="image/classification")
    stub.break_at("DELETE", "/datasets/")
    client.datasets.delete(made["id"])
    assert len(stub.calls("DELETE")) == 2


def test_deleting_what_is_not_there_is_told(client: Client) -> None:
    with pytest.raises(YardError, match="datasets_not_found"):
        client.datasets.delete("ds-none")


def test_an_absent_platform_is_told_after_some_patience(hour: Hour) -> None:
    with socket.socket() as taken:  # and nobody listens
        taken.bind(("127.0.0.1", 0))
        absent = Client(f"127.0.0.1:{taken.getsockname()[1]}", TOKEN, hour=Time(hour.now, hour.sleep), patience=7)
        with absent as client, pytest.raises(YardError, match="Is the platform running there") as caught:
            client.users.me()
    assert caught.value.code == "unreachable"
    assert 4 < hour.at <= 7


def test_the_pauses_grow_and_end(hour: Hour) -> None:
    patience = Patience(10.0, Time(hour.now, hour.sleep))
    tries = 0
    while patience.wait():
        tries += 1
    assert hour.at <= 10
    assert 5 <= tries <= 20


def test_patience_begins_with_the_first_failure(hour: Hour) -> None:
    """What took long and failed then is tried again all the same."""
    patience = Patience(10.0, Time(hour.now, hour.sleep))
    hour.at = 1000.0
    assert patience.wait()
    hour.at += 20
    assert not patience.wait()
    patience.renew()
    assert patience.wait()


def test_the_platform_may_ask_to_come_later(hour: Hour) -> None:
    answers = iter([httpx2.Response(503, headers={"Retry-After": "2"}), httpx2.Response(200, json={"name": "alice"})])
    transport = httpx2.MockTransport(lambda request: next(answers))
    with Client("http://stub", TOKEN, transport=transport, hour=Time(hour.now, hour.sleep)) as client:
        assert client.users.me()["name"] == "alice"
    assert hour.at == 2


def test_a_service_that_is_killed_behind_the_gateway_is_a_lost_connection(hour: Hour) -> None:
    killed = httpx2.Response(502, json={"code": "service_failed", "detail": "The service broke off."})
    answers = iter([killed, httpx2.Response(201, json={"id": "ds-1"}), killed])
    transport = httpx2.MockTransport(lambda request: next(answers))
    with Client("http://stub", TOKEN, transport=transport, hour=Time(hour.now, hour.sleep)) as client:
        assert client.datasets.create("digits", purpose="image/classification")["id"] == "ds-1"
        with pytest.raises(YardError, match="service_failed"):
            client.http.act("jobs/job-1/start", repeat=False)


def test_lists_go_on_page_by_page(client: Client, stub: Stub) -> None:
    for number in range(7):
        stub.add("datasets", "ds", name=f"set {number}")
    names = [one["name"] for one in client.http.pages("datasets", {"limit": 3})]
    assert names == [f"set {number}" for number in range(7)]
    assert len(client.datasets.list(5)) == 5


def test_names_stand_for_ids_where_they_are_unambiguous(client: Client, stub: Stub) -> None:
    one = stub.add("datasets", "ds", name="digits")
    stub.add("datasets", "ds", name="digits two")
    twins = [stub.add("datasets", "ds", name="twin", state="ready") for _ in range(2)]
    assert client.datasets.id_of("digits") == one["id"]
    assert client.datasets.id_of("ds-01kqj3v9zt8m5x2c7b4n6p0rdf") == "ds-01kqj3v9zt8m5x2c7b4n6p0rdf"
    with pytest.raises(YardError) as caught:
        client.datasets.id_of("twin")
    assert caught.value.code == "ambiguous_name"
    assert {fault.where for fault in caught.value.faults} == {twin["id"] for twin in twins}
    with pytest.raises(YardError, match="no dataset called 'nothing'"):
        client.datasets.id_of("nothing")


def test_what_comes_from_a_keyboard_stays_within_its_path(client: Client, stub: Stub) -> None:
    with pytest.raises(YardError):
        client.datasets.show("../users/me")
    assert stub.asked[-1].path == "/api/v1/datasets/..%2Fusers%2Fme"


def test_logging_in_makes_later_calls_act_as_that_user(address: str, stub: Stub) -> None:
    with Client(address) as client:
        with pytest.raises(YardError, match="no_token"):
            client.users.me()
        client.login("alice", "right")
        assert client.users.me()["name"] == "alice"


def test_a_key_whose_telling_was_lost_is_replaced(client: Client, stub: Stub) -> None:
    stub.forgets_keys = 1
    made = client.api_keys.create("k")
    assert made["key"] == KEY
    assert list(stub.things["api-keys"]) == [made["id"]]
