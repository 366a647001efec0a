"""Several OpenAPI documents as one: components that would collide get their service's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def merge(title: str, documents: Mapping[str, Document]) -> dict[str, Any]:
    """One document of all (service name to its document); of two with the same path the first counts."""
    paths: dict[str, Any] = {}
    components: dict[str, dict[str, Any]] = {}
    taken_ids: set[str] = set()
    for service, document in documents.items():
        names = _names(service, document, components)
        for path, item in document.get("paths", {}).items():
            if path not in paths:
                paths[path] = _told(_renamed(item, names), service, taken_ids)
        for section, entries in document.get("components", {}).items():
            kept = components.setdefault(section, {})
            for name, entry in entries.items():
                kept[names.get(f"#/components/{section}/{name}", name)] = _renamed(entry, names)
    return _document(title, paths, components)


def _document(title: str, paths: dict[str, Any], components: dict[str, dict[str, Any]]) -> dict[str, Any]:
    bearer = {"type": "http", "scheme": "bearer", "description": "A login token or an API key"}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": dict(sorted(paths.items())),
        "components": {**components, "securitySchemes": {"bearer": bearer}},
    }


def _names(service: str, document: Document, taken: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Reference to new name, for each component whose name another service gave to something different."""
    renamed = {}
    for section, entries in document.get("components", {}).items():
        others = taken.get(section, {})
        for name, entry in entries.items():
            if name in others and others[name] != entry:
                renamed[f"#/components/{section}/{name}"] = _free(f"{_camel(service)}{name}", others)
    return renamed


def _free(name: str, taken: Mapping[str, Any]) -> str:
    while name in taken:
        name += "_"
    return name


def _camel(service: str) -> str:
    return "".join(word.capitalize() for word in service.removesuffix("-svc").split("-"))


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    """The node with its references changed; a reference is only ever the value of `$ref` or of a mapping."""
    if isinstance(node, Mapping):
        return {key: _renamed(value, names) for key, value in node.items()}
    if isinstance(node, list):
        return [_renamed(value, names) for value in node]
    if isinstance(node, str) and node in names:
        return node.rpartition("/")[0] + "/" + names[node]
    return node


def _told(item: dict[str, Any], service: str, taken: set[str]) -> dict[str, Any]:
    """A path's operations with ids that nobody else has, and said to be open where they need no login."""
    for operation in (item[method] for method in _METHODS if isinstance(item.get(method), dict)):
        if operation.get("operationId") in taken:
            operation["operationId"] = f"{_camel(service).lower()}_{operation['operationId']}"
        taken.add(operation.get("operationId", ""))
        if operation.get("x-permission") == "anyone":
            operation["security"] = []
    return item
