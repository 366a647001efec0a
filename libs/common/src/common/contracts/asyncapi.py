"""The events as a document for other systems: AsyncAPI 3.0, generated from the contracts, the same bytes every time.

`python -m common.contracts.asyncapi` writes `docs/events/asyncapi.yaml`, unless a reader of the present one would be
broken by it; `--check` says whether that file is what would be written. Source: AsyncAPI specification 3.0.0 and its
AMQP 0-9-1 bindings 0.3.0.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

import common.contracts  # noqa: F401 - registers every event type
from common.contracts.evolution import advice, breaks
from common.contracts.parties import heard_by, told_by
from common.kernel.events import EVENT_TYPES, CloudEvent, EventData

DOCUMENT = Path("docs/events/asyncapi.yaml")
GOLDEN = Path("tests/contracts/events/golden")
EXCHANGE = "modelyard.events"
BINDINGS = "0.3.0"

Json = dict[str, Any]

DESCRIPTION = """
Everything that Modelyard tells other systems, as CloudEvents 1.0 in structured mode (JSON) over one durable topic
exchange of RabbitMQ; the routing key is the event's type. This document is written from a subscriber's side: what it
receives. How to subscribe, with a complete program: `docs/guides/subscribe.md`.

* At least once: the same event may come again, with the same `id`.
* `sequence` counts up for each pair of `source` and `subject`. An event with a smaller one than was seen is old news.
* Additive only: fields, values of an enumeration and event types are added; none is removed or given another meaning.
  Ignore what you do not know.
"""

ENVELOPE = {
    "specversion": "The version of CloudEvents.",
    "id": "Names the event. An event that comes again has the same id.",
    "source": "The service that tells it.",
    "type": "What happened; the routing key.",
    "subject": "The id of what it happened to.",
    "time": "When it happened, in UTC.",
    "datacontenttype": "How `data` is written.",
    "dataversion": "The version of `data` for this type. It is raised where a field had to change its meaning.",
    "sequence": "Counts up for each pair of source and subject, from 1.",
    "owner": "The user to whom the subject belongs.",
    "actor": "The user who made it happen; absent where the platform did.",
    "traceparent": "The trace that it is a part of (W3C Trace Context).",
    "data": "What there is to say about it; its schema depends on the type.",
}


class _Schemas(GenerateJsonSchema):
    """JSON schemas without a title on every field, which would only repeat its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False


def document(golden: Mapping[str, Json]) -> Json:
    """The whole document; `golden` has an example event for each type."""
    types = sorted(EVENT_TYPES)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Modelyard events",
            "version": "1.0.0",
            "description": DESCRIPTION.strip(),
        },
        "defaultContentType": "application/cloudevents+json",
        "servers": {"broker": _server()},
        "channels": {name: _channel(name) for name in types},
        "operations": {_operation_name(name): _operation(name) for name in types},
        "components": {
            "messages": {name: _message(name, golden[name]) for name in types},
            "schemas": _schemas(),
            "securitySchemes": {
                "reader": {
                    "type": "userPassword",
                    "description": "A user that an operator made for this system. It may bind and read queues of its "
                    "own, `reader.<name>.*`, and may not publish.",
                }
            },
        },
    }


def _server() -> Json:
    return {
        "host": "{host}:{port}",
        "pathname": "/{vhost}",
        "protocol": "amqp",
        "protocolVersion": "0.9.1",
        "description": "The RabbitMQ of the installation.",
        "variables": {
            "host": {"default": "localhost", "description": "Where it runs."},
            "port": {"default": "5672", "description": "Its AMQP port."},
            "vhost": {"default": "", "description": "Its virtual host; empty for the default one."},
        },
        "security": [{"$ref": "#/components/securitySchemes/reader"}],
    }


def _channel(name: str) -> Json:
    exchange = {"name": EXCHANGE, "type": "topic", "durable": True, "autoDelete": False}
    return {
        "address": name,
        "description": _told(EVENT_TYPES[name]),
        "servers": [{"$ref": "#/servers/broker"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": BINDINGS}},
    }


def _operation(name: str) -> Json:
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": _told(EVENT_TYPES[name]),
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
        "bindings": {"amqp": {"ack": True, "bindingVersion": BINDINGS}},
    }


def _operation_name(name: str) -> str:
    """`job.timed_out` is heard by `onJobTimedOut`."""
    return f"on{EVENT_TYPES[name].__name__}"


def _message(name: str, example: Json) -> Json:
    data = EVENT_TYPES[name]
    narrowed = {
        "type": {"const": name},
        "dataversion": {"const": data.dataversion},
        "data": {"$ref": f"#/components/schemas/{data.__name__}"},
    }
    heard = heard_by(name)
    return {
        "name": name,
        "title": data.__name__,
        "summary": _told(data),
        "contentType": "application/cloudevents+json",
        "tags": [{"name": name.partition(".")[0]}],
        "payload": {"allOf": [{"$ref": "#/components/schemas/CloudEvent"}, {"type": "object", "properties": narrowed}]},
        "bindings": {"amqp": {"contentEncoding": "utf-8", "messageType": name, "bindingVersion": BINDINGS}},
        "examples": [{"name": "golden", "payload": example}],
        "x-told-by": list(told_by(name)),
        **({"x-heard-by": list(heard)} if heard else {}),
    }


def _told(data: type[EventData]) -> str:
    """The first paragraph of its docstring, on one line."""
    return " ".join(cleandoc(data.__doc__ or "").split("\n\n")[0].split())


def _schemas() -> Json:
    """The schemas of all contents and of what they are made of, as a reader meets them: old events lack new fields."""
    models: list[type[BaseModel]] = [CloudEvent, *(EVENT_TYPES[name] for name in sorted(EVENT_TYPES))]
    _, whole = models_json_schema(
        [(model, "validation") for model in models],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Schemas,
    )
    schemas: Json = whole["$defs"]
    for field, told in ENVELOPE.items():
        schemas["CloudEvent"]["properties"][field]["description"] = told
    return {name: schemas[name] for name in sorted(schemas)}


class _Plain(yaml.SafeDumper):
    """YAML without anchors: what stands twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always."""
        return True

    def string(self, data: str) -> yaml.ScalarNode:
        """Text of several lines as it is read."""
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Plain.add_representer(str, _Plain.string)


def text_of(told: Json) -> str:
    """The document as YAML, with the line that says where it comes from."""
    first = "# Generated from libs/common/src/common/contracts by `make asyncapi`. Do not edit.\n"
    return first + yaml.dump(told, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)


def golden_in(folder: Path) -> dict[str, Json]:
    """An example event for each type, from `<type>.json`. Raises OSError where one is missing."""
    return {name: json.loads((folder / f"{name}.json").read_text("utf-8")) for name in sorted(EVENT_TYPES)}


def trouble(golden: Path, committed: Path, *, check: bool) -> str | None:
    """What stands against the document, and what to do; None where it may be written or, to check, is up to date."""
    if missing := [
        str(golden / f"{name}.json") for name in sorted(EVENT_TYPES) if not (golden / f"{name}.json").exists()
    ]:
        return f"Add an example of each new event: {', '.join(missing)}"
    now = document(golden_in(golden))
    before = committed.read_text("utf-8") if committed.exists() else ""
    if broken := breaks(yaml.safe_load(before), now) if before else []:
        return advice(broken)
    if check and before != text_of(now):
        return f"{committed} is not what the contracts say. Run `make asyncapi` and commit it."
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the document; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m common.contracts.asyncapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the file is not up to date")
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    parser.add_argument("--golden", type=Path, default=GOLDEN)
    asked = parser.parse_args(arguments)
    if (told := trouble(asked.golden, asked.document, check=asked.check)) is not None:
        sys.stderr.write(f"{told}\n")
        return 1
    if not asked.check:
        asked.document.parent.mkdir(parents=True, exist_ok=True)
        asked.document.write_text(text_of(document(golden_in(asked.golden))), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
