"""The document for other systems is AsyncAPI 3.0, says what the contracts say, and its examples are what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.bus.rabbitmq import topology
from common.contracts import asyncapi, parties
from common.kernel.events import EVENT_TYPES, CloudEvent
from embedded.house import running
from embedded.settings import Settings
from tests.architecture.owners import OWNERS
from tests.contracts.events.schemas import faults, found_at

ROOT = Path(__file__).parents[3]
COMMITTED = ROOT / asyncapi.DOCUMENT
GOLDEN = ROOT / asyncapi.GOLDEN

pytestmark = pytest.mark.row("P2")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    told: dict[str, Any] = yaml.safe_load(COMMITTED.read_text("utf-8"))
    return told


def test_the_committed_document_is_what_the_contracts_say() -> None:
    written = asyncapi.text_of(asyncapi.document(asyncapi.golden_in(GOLDEN)))
    assert written == COMMITTED.read_text("utf-8"), "run `make asyncapi` and commit docs/events/asyncapi.yaml"


def test_writing_it_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    where = ["--document", str(tmp_path / "new.yaml"), "--golden", str(GOLDEN)]
    for _ in range(2):
        assert asyncapi.main(where) == 0
        assert (tmp_path / "new.yaml").read_bytes() == COMMITTED.read_bytes()


def test_checking_says_what_to_do_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stale = COMMITTED.read_text("utf-8").replace("title: Modelyard events", "title: Other events")
    (tmp_path / "old.yaml").write_text(stale, "utf-8")
    assert asyncapi.main(["--check", "--document", str(tmp_path / "old.yaml"), "--golden", str(GOLDEN)]) == 1
    assert "make asyncapi" in capsys.readouterr().err
    assert (tmp_path / "old.yaml").read_text("utf-8") == stale


def test_a_document_whose_readers_would_be_broken_is_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    released = yaml.safe_load(COMMITTED.read_text("utf-8"))
    released["components"]["schemas"]["JobDeleted"]["properties"]["why"] = {"type": "string"}
    (tmp_path / "released.yaml").write_text(before := asyncapi.text_of(released), "utf-8")
    assert asyncapi.main(["--document", str(tmp_path / "released.yaml"), "--golden", str(GOLDEN)]) == 1
    told = capsys.readouterr().err
    assert "job.deleted data.why: the field is gone" in told
    assert "dataversion" in told
    assert (tmp_path / "released.yaml").read_text("utf-8") == before


def test_an_event_without_an_example_is_asked_for_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in sorted(EVENT_TYPES)[1:]:
        (tmp_path / f"{name}.json").write_text((GOLDEN / f"{name}.json").read_text("utf-8"), "utf-8")
    assert asyncapi.main(["--check", "--document", str(COMMITTED), "--golden", str(tmp_path)]) == 1
    assert str(tmp_path / "algorithm.changed.json") in capsys.readouterr().err


FIELDS = {
    "": ({"asyncapi", "info"}, {"defaultContentType", "servers", "channels", "operations", "components"}),
    "info": ({"title", "version"}, {"description"}),
    "server": (
        {"host", "protocol"},
        {"pathname", "protocolVersion", "description", "variables", "security"},
    ),
    "channel": (set(), {"address", "description", "servers", "messages", "bindings"}),
    "operation": ({"action", "channel"}, {"summary", "messages", "bindings"}),
    "message": (set(), {"name", "title", "summary", "contentType", "tags", "payload", "bindings", "examples"}),
    "components": (set(), {"messages", "schemas", "securitySchemes"}),
}
"""Of each object of AsyncAPI 3.0.0 the fields that it must have, and those others that we use."""


def objects(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "", document
    yield "info", document["info"]
    yield "components", document["components"]
    for kind, several in {
        "server": document["servers"],
        "channel": document["channels"],
        "operation": document["operations"],
        "message": document["components"]["messages"],
    }.items():
        yield from ((kind, one) for one in several.values())


def test_it_has_the_structure_of_asyncapi_3(document: dict[str, Any]) -> None:
    assert document["asyncapi"] == "3.0.0"
    for kind, one in objects(document):
        must, may = FIELDS[kind]
        named = {name for name in one if not name.startswith("x-")}
        assert must <= named <= must | may, (kind, named)
    keys = [*document["components"]["messages"], *document["components"]["schemas"]]
    assert [key for key in keys if not re.fullmatch(r"[a-zA-Z0-9._-]+", key)] == []


def refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for one in value.values():
            yield from refs(one)
    if isinstance(value, list):
        for one in value:
            yield from refs(one)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = set(refs(document))
    assert len(found) > 3 * len(EVENT_TYPES)
    assert all(found_at(document, ref) for ref in found)


def test_every_event_has_a_channel_a_message_and_an_operation_of_the_reader(document: dict[str, Any]) -> None:
    assert set(document["channels"]) == set(document["components"]["messages"]) == set(EVENT_TYPES)
    assert {one["address"] for one in document["channels"].values()} == set(EVENT_TYPES)
    operations = document["operations"].values()
    assert {one["action"] for one in operations} == {"receive"}
    heard = [found_at(document, found_at(document, one["messages"][0]["$ref"])["$ref"])["name"] for one in operations]
    assert sorted(heard) == sorted(EVENT_TYPES)
    assert all(one["summary"] for one in document["components"]["messages"].values())


def test_it_names_the_exchange_that_the_bus_declares(document: dict[str, Any]) -> None:
    told = {tuple(one["bindings"]["amqp"]["exchange"].items()) for one in document["channels"].values()}
    assert told == {(("name", topology.EXCHANGE), ("type", "topic"), ("durable", True), ("autoDelete", False))}


def test_every_field_of_the_envelope_is_described(document: dict[str, Any]) -> None:
    assert set(asyncapi.ENVELOPE) == set(CloudEvent.model_fields)
    envelope = document["components"]["schemas"]["CloudEvent"]["properties"]
    assert all(field["description"] for field in envelope.values())


@pytest.mark.parametrize("event_type", sorted(EVENT_TYPES))
def test_the_golden_example_is_what_its_schema_says(document: dict[str, Any], event_type: str) -> None:
    message = document["components"]["messages"][event_type]
    (example,) = message["examples"]
    assert list(faults(document, message["payload"], example["payload"])) == []
    CloudEvent.model_validate(example["payload"]).payload()
    wrong = {**example["payload"], "type": "another.type"}
    assert list(faults(document, message["payload"], wrong))


def test_who_tells_what_is_as_the_design_says() -> None:
    assert {name: frozenset(parties.told_by(name)) for name in EVENT_TYPES} == OWNERS


async def test_who_hears_what_is_as_the_services_say(tmp_path: Path) -> None:
    async with running(Settings(home=tmp_path)) as house:
        heard = {
            (service.name, event_type)
            for service in house.services
            for subscription in service.inbox.subscriptions()
            if subscription.types != set(EVENT_TYPES)  # the live stream's
            for event_type in subscription.types
        }
    assert heard == set(parties.heard_types()), "say so in common/contracts/parties.py, and run `make asyncapi`"
