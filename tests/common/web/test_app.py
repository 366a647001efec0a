"""Every failure is a problem document, every create can be repeated, every request has its trace."""

import errno
from typing import Annotated

import httpx2
import pytest
from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import text

from common.db.database import Database
from common.db.migrate import upgrade
from common.db.uow import Store
from common.kernel.clock import SystemClock
from common.kernel.errors import Conflict
from common.web.access import Permission, declared_permissions, permits
from common.web.app import create_app
from common.web.idempotency import IdempotencyKey, create_once
from common.web.identity import Caller, KeyRing, Principal, open_signer


class Thing(BaseModel):
    name: str
    size: int = 1


@pytest.fixture
async def house(tmp_path):
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'a.sqlite3'}")
    await upgrade(database)
    async with database.writing() as connection:
        await connection.execute(text("CREATE TABLE things (name TEXT)"))
    store = Store(database, "test-svc", SystemClock())
    signer = open_signer("gateway", tmp_path / "private", tmp_path / "public")
    app = create_app("test-svc", "Test", KeyRing(tmp_path / "public"), routes(store))
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {signer.sign(Principal('user-1', 'user', 'alice'))}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://t/api/v1", headers=headers) as client:
        yield client, store, app
    await database.close()


def routes(store: Store) -> APIRouter:
    router = APIRouter()

    @router.post("/things", **permits(Permission.USER))
    async def create(thing: Thing, who: Caller, key: IdempotencyKey = None):
        async def work(uow):
            await uow.connection.execute(text("INSERT INTO things VALUES (:n)"), {"n": thing.name})
            return thing

        return await create_once(store, who, key, thing, work)

    @router.get("/things", **permits(Permission.USER))
    async def get(limit: Annotated[int, Query(ge=1)]):
        return limit

    @router.post("/conflict", **permits(Permission.USER))
    async def conflict():
        raise Conflict("busy", "The thing is busy.", owner="bob")

    @router.post("/full", **permits(Permission.USER))
    async def full():
        raise OSError(errno.ENOSPC, "No space left on device")

    @router.post("/broken", **permits(Permission.USER))
    async def broken():
        raise RuntimeError("secret detail")

    @router.get("/admin", **permits(Permission.ADMIN))
    async def admin(): ...

    @router.get("/service", **permits(Permission.SERVICE))
    async def service(): ...

    return router


async def problem(answer, status: int, code: str) -> dict:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["code"] == code
    assert body["title"]
    assert body["detail"]
    return body


async def test_problems(house):
    client, _, _ = house
    assert (await problem(await client.post("/conflict"), 409, "busy"))["owner"] == "bob"
    await problem(await client.post("/full"), 507, "storage_full")
    hidden = await problem(await client.post("/broken"), 500, "internal")
    assert "secret" not in str(hidden)
    await problem(await client.get("/nowhere"), 404, "not_found")
    await problem(await client.delete("/things"), 405, "method_not_allowed")
    await problem(await client.get("/admin"), 403, "admin_only")
    await problem(await client.get("/service"), 403, "service_only")
    client.headers.pop("Authorization")
    answer = await client.get("/things?limit=1")
    await problem(answer, 401, "no_token")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_all_faults_at_once(house):
    client, _, _ = house
    body = await problem(await client.post("/things", json={"size": "many"}), 422, "invalid_request")
    assert {fault["where"] for fault in body["faults"]} == {"body.name", "body.size"}
    malformed = await client.post("/things", content=b"{", headers={"content-type": "application/json"})
    await problem(malformed, 422, "invalid_request")


async def count(store) -> int:
    async with store.reading() as connection:
        return (await connection.execute(text("SELECT count(*) FROM things"))).scalar_one()


async def test_a_create_that_is_sent_again_is_done_once(house):
    client, store, _ = house
    first, again = [
        await client.post("/things", json={"name": "a"}, headers={"Idempotency-Key": "k1"}) for _ in range(2)
    ]
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert await count(store) == 1
    other = await client.post("/things", json={"name": "b"}, headers={"Idempotency-Key": "k1"})
    await problem(other, 422, "idempotency_key_reused")
    await client.post("/things", json={"name": "a"})
    assert await count(store) == 2


async def test_a_full_database_is_told_as_such(house):
    client, store, _ = house
    async with store.database.writing() as connection:
        pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
    await store.database.engine.dispose()

    from sqlalchemy import event

    @event.listens_for(store.database.engine.sync_engine, "connect")
    def limit(dbapi, _):
        dbapi.cursor().execute(f"PRAGMA max_page_count={pages}")

    body = {"name": "x" * 100_000}
    await problem(await client.post("/things", json=body), 507, "storage_full")
    assert await count(store) == 0


async def test_routes_declare_what_they_ask(house):
    _, _, app = house
    found = declared_permissions(app)
    assert found["GET", "/api/v1/admin"] == "admin"
    assert found["POST", "/api/v1/things"] == "user"
