"""Who may do what: every route of the service, for every kind of person, with every kind of dataset."""

from typing import Any

import pytest

from common.web.access import declared_permissions
from tests.dataset_svc.conftest import Place, pictures

PREFIX = "/api/v1"


def concrete(path: str, made: dict[str, str]) -> str:
    for name, value in made.items():
        path = path.replace(name if "{" in name else "{" + name + "}", value)
    return path.removeprefix(PREFIX)


def expected(permission: str, role: str, dataset: str) -> set[int] | None:
    """Which statuses are right for that person and that dataset; None where anything but a refusal of access is."""
    if role == "nobody":
        return None if permission == "anyone" else {401}
    if permission in ("anyone", "user"):
        return None
    if permission == "service":
        return None if role == "service" else {403}
    if permission == "admin":
        return None if role in ("admin", "service") else {403}
    if role in ("owner", "admin", "service"):
        return {404} if dataset == "deleted" else None
    if dataset != "public, online":
        return {404}
    return None if permission == "see" else {403}


ROLES = {"owner": "alice", "stranger": "mallory", "admin": "admin", "service": "train-svc", "nobody": None}


async def one_of_each(place: Place) -> dict[str, dict[str, str]]:
    """Alice's datasets, each with an upload and an import."""
    alice, found = place.desk("alice"), {}
    for kind in ("private, online", "public, offline", "public, online", "deleted"):
        made = await alice.filled(visibility=kind.split(",")[0] if "," in kind else "public")
        upload = await alice.begin(made["id"], b"x" * 10)
        if kind.endswith("online"):
            await alice.ok("POST", f"/datasets/{made['id']}/online")
        if kind == "deleted":
            await alice.ok("DELETE", f"/datasets/{made['id']}", 204)
        ids = {"dataset_id": made["id"], "upload_id": upload["id"], "import_id": made["imports"][0]["id"]}
        found[kind] = {**ids, "datasets/{item}": f"datasets/{made['id']}", "holder": "w-1", "number": "1"}
        found[kind] |= {"before": "1", "after": "1"}
    return found


async def test_every_route_declares_a_permission(place):
    permissions = declared_permissions(place.house.service("dataset-svc").app)
    assert len(permissions) > 20
    assert all(permissions.values()), permissions


@pytest.mark.row("D7")
@pytest.mark.parametrize("role", ROLES)
async def test_every_route_for_every_person(place, role):
    """Requests are sent without a body, so one that passes the gate is refused for that, or harmless; deletes of what
    others need come last."""
    datasets = await one_of_each(place)
    client = place.house.client("dataset-svc", ROLES[role])
    declared = declared_permissions(place.house.service("dataset-svc").app)
    routes = {route: permission for route, permission in declared.items() if "/datasets" in route[1]}
    order = ("OPTIONS", "HEAD", "GET", "PUT", "POST", "PATCH", "DELETE")
    bodies: dict[str, dict[str, object]] = {"PATCH": {"name": "n"}, "/visibility": {"visibility": "public"}}
    bodies["/links"] = {"numbers": [1]}
    bodies["/uploads"] = {"filename": "a.zip", "size": 10}
    source = {"name": "lab", "connection": {"type": "path", "root": "lab"}}
    bodies["/imports"] = {"source_id": (await place.desk("alice").ok("POST", "/sources", 201, json=source))["id"]}
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "10", "Upload-Offset": "0"}
    tus["Content-Type"] = "application/offset+octet-stream"
    wrong = []
    for (method, path), permission in sorted(routes.items(), key=lambda route: (order.index(route[0][0]), route)):
        for kind, ids in datasets.items():
            right = expected(str(permission), role, kind)
            if kind == "deleted" and path.endswith("/history") and role in ("owner", "admin", "service"):
                right = {200}  # what became of it outlives it
            if right is None and (method == "DELETE" or path.endswith(("line", "visibility"))):
                continue  # they may, and other tests see that they can
            body = bodies.get(method) or next((b for end, b in bodies.items() if path.endswith(end)), None)
            sent: dict[str, Any] = {"headers": tus, "content": b""} if "/tus" in path else {"json": body}
            answer = await client.request(method, concrete(path, ids), params={"path": "cat/0.png"}, **sent)
            allowed = answer.status_code not in (401, 403, 404, 500) if right is None else answer.status_code in right
            if not allowed and not (kind == "deleted" and permission == "service"):
                wrong.append((role, method, path, kind, permission, answer.status_code, answer.text[:200]))
    assert wrong == []


@pytest.mark.row("D7")
async def test_absent_and_hidden_look_the_same(place, alice, bob):
    hidden = (await alice.online())["id"]
    absent = hidden[:-4] + "0000"
    for path in ("", "/versions", "/samples", "/imports", "/uploads/up-1"):
        answers = [await bob.client.get(f"/datasets/{item}{path}") for item in (hidden, absent)]
        texts = [answer.text.replace(item, "…") for answer, item in zip(answers, (hidden, absent), strict=True)]
        assert texts[0] == texts[1]
        assert {answer.status_code for answer in answers} == {404}


@pytest.mark.row("D7")
async def test_what_an_owner_does_with_imports_is_not_shown_to_others(alice, bob):
    made = await alice.online(visibility="public")
    await alice.imported(made["id"], b"no archive")
    await alice.imported(made["id"], pictures(shade=3))
    seen = await bob.ok("GET", f"/datasets/{made['id']}")
    assert seen["imports"] == []
    assert (await bob.ok("GET", "/datasets"))["items"][0]["imports"] == []
    await bob.refused("GET", f"/datasets/{made['id']}/imports", 403, "not_owner")
