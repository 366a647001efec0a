"""The online test: what is sent to a replica, made from the interface that it declares (row S10, seed 002 §2.7.9)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common.contracts.interfaces import typed
from common.contracts.shared import Interface
from common.kernel.errors import Fault, Invalid


@dataclass(frozen=True)
class TestRequest:
    """One request: `json_body` None for none; `files` by the name of their field."""

    __test__ = False

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    json_body: dict[str, Any] | None = None
    form: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


def path_of(interface: Interface) -> str:
    """Where the interface answers: its path, or its name where it names none."""
    path = interface.path or interface.name
    return path if path.startswith("/") else f"/{path}"


def build_request(interface: Interface, given: Mapping[str, Any] | None) -> TestRequest:
    """The request with these inputs, or with the interface's test values where none are given.

    Raises Invalid (`bad_inputs`) with a fault for every input that is missing, unknown or of another type.
    """
    values = _values(interface, given)
    request = TestRequest(interface.method, path_of(interface))
    if interface.style == "json":
        return TestRequest(request.method, request.path, json_body=values)
    texts = {name: _text(value) for name, value in values.items() if not isinstance(value, bytes)}
    if interface.style == "params":
        return TestRequest(request.method, request.path, query=texts)
    files = {name: value for name, value in values.items() if isinstance(value, bytes)}
    return TestRequest(request.method, request.path, form=texts, files=files)


def _values(interface: Interface, given: Mapping[str, Any] | None) -> dict[str, Any]:
    faults: list[Fault] = []
    values: dict[str, Any] = {}
    declared = {wanted.name for wanted in interface.inputs}
    for name in given or {}:
        if name not in declared:
            known = ", ".join(sorted(declared)) or "none"
            faults.append(Fault(f"inputs.{name}", f"The interface has no such input; it has: {known}."))
    for wanted in interface.inputs:
        value = wanted.test_value if given is None else given.get(wanted.name)
        if value is None:
            if wanted.required:
                faults.append(Fault(f"inputs.{wanted.name}", "It is required: give a value of the type " + wanted.type))
            continue
        try:
            values[wanted.name] = typed(wanted.type, value)
        except ValueError as error:
            faults.append(Fault(f"inputs.{wanted.name}", f"For the type {wanted.type} {error}."))
    if faults:
        named = ", ".join(fault.where for fault in faults)
        raise Invalid("bad_inputs", f"The service can't be tested with these inputs: {named}.", faults=faults)
    return values


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def shown(service_id: str, request: TestRequest) -> dict[str, Any]:
    """The request as it is told back: files by their size in bytes."""
    body: dict[str, Any] = {
        "method": request.method,
        "path": f"/serve/{service_id}{request.path}",
        "query": request.query or None,
        "json": request.json_body,
        "form": request.form or None,
        "files": {name: len(content) for name, content in request.files.items()} or None,
    }
    return {name: value for name, value in body.items() if value is not None}
