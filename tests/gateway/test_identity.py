"""Who asks: logins, API keys, users, and that nothing outlives its revocation."""

import asyncio
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest

from common.kernel.clock import ManualClock
from gateway.domain.api_key import LENGTH
from gateway.identity.passwords import Passwords
from gateway.storage import users
from tests.gateway.gate import ADMIN_PASSWORD, gate

pytestmark = pytest.mark.row("P3")


async def test_a_login_is_good_for_everything_and_says_who_one_is(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        answer = await g.client().post("/login", json={"name": "ADMIN", "password": ADMIN_PASSWORD})
        assert answer.status_code == 200
        assert answer.json()["user"]["role"] == "admin"
        assert "argon2" not in answer.text
        me = await g.client(answer.json()["token"]).get("/users/me")
        assert me.json()["name"] == "admin"


async def test_wrong_name_wrong_password_and_disabled_user_get_the_same_words(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        mallory, _ = await g.user("mallory")
        await g.client(await g.log_in()).post(f"/users/{mallory}/disable")
        tries = [("admin", "wrong"), ("nobody", "wrong"), ("mallory", "password of mallory")]
        answers = [await g.client().post("/login", json={"name": n, "password": p}) for n, p in tries]
        assert {answer.status_code for answer in answers} == {401}
        assert len({answer.text for answer in answers}) == 1
        assert answers[0].json()["code"] == "bad_login"


async def test_an_unknown_name_costs_a_hash_like_a_known_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    real = Passwords._compare

    async def counting(self: Passwords, hashed: str, password: str) -> bool:
        compared.append(password)
        return await real(self, hashed, password)

    monkeypatch.setattr(Passwords, "_compare", counting)
    async with gate(tmp_path) as g:
        for name in ("admin", "nobody"):
            await g.client().post("/login", json={"name": name, "password": f"wrong for {name}"})
    assert compared == ["wrong for admin", "wrong for nobody"]


async def test_too_many_failures_wait_and_others_do_not(tmp_path: Path) -> None:
    clock = ManualClock(datetime.now(UTC))
    async with gate(tmp_path, clock=clock, failed_logins=3, failed_login_window=60) as g:
        wrong = {"name": "admin", "password": "wrong"}
        codes = [(await g.client().post("/login", json=wrong)).status_code for _ in range(4)]
        assert codes == [401, 401, 401, 429]
        refused = await g.client().post("/login", json={"name": "admin", "password": ADMIN_PASSWORD})
        assert refused.status_code == 429
        assert refused.json()["code"] == "too_many_logins"
        assert 0 < int(refused.headers["Retry-After"]) <= 61
        assert (await g.client().post("/login", json={"name": "other", "password": "wrong"})).status_code == 401
        clock.advance(61)
        assert await g.log_in()


async def test_attempts_at_the_same_time_are_all_counted(tmp_path: Path) -> None:
    async with gate(tmp_path, failed_logins=3) as g:
        wrong = {"name": "admin", "password": "wrong"}
        answers = await asyncio.gather(*(g.client().post("/login", json=wrong) for _ in range(10)))
        assert sorted(answer.status_code for answer in answers) == [401] * 3 + [429] * 7


async def test_good_logins_never_use_up_an_address_but_failures_of_many_names_do(tmp_path: Path) -> None:
    async with gate(tmp_path, failed_logins_address=3) as g:
        for _ in range(10):
            await g.log_in()
        codes = [
            (await g.client().post("/login", json={"name": f"user{n}", "password": "wrong"})).status_code
            for n in range(5)
        ]
        assert codes == [401, 401, 401, 429, 429]


async def test_a_good_login_forgets_the_failures_before(tmp_path: Path) -> None:
    async with gate(tmp_path, failed_logins=3) as g:
        for _ in range(4):
            await g.client().post("/login", json={"name": "admin", "password": "wrong"})
            await g.client().post("/login", json={"name": "admin", "password": "wrong"})
            await g.log_in()


async def test_a_login_ends_after_its_hours(tmp_path: Path) -> None:
    clock = ManualClock(datetime.now(UTC))
    async with gate(tmp_path, clock=clock, login_hours=1) as g:
        client = g.client(await g.log_in())
        assert (await client.get("/users/me")).status_code == 200
        clock.advance(3600)
        assert (await client.get("/users/me")).json()["code"] == "bad_token"


@pytest.mark.parametrize(
    "claims",
    [{"aud": "modelyard"}, {"iss": "train-svc"}, {"exp": 1}, {"epoch": 7}, {"sub": "user-nobody"}],
    ids=["audience", "issuer", "expiry", "epoch", "subject"],
)
async def test_a_token_with_a_wrong_claim_is_refused(tmp_path: Path, claims: dict[str, object]) -> None:
    async with gate(tmp_path) as g:
        good = jwt.decode(await g.log_in(), options={"verify_signature": False})
        key = g.context.kit.signer.key
        assert (await g.client(jwt.encode(good, key, algorithm="EdDSA")).get("/users/me")).status_code == 200
        forged = jwt.encode(good | claims, key, algorithm="EdDSA")
        assert (await g.client(forged).get("/users/me")).json()["code"] == "bad_token"


async def test_nonsense_is_refused(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        for credential in ("", "x", "yk_", "yk_" + "A" * 43, "é" * 5, "A" * 5000, "a.b.c"):
            header = f"Bearer {credential}".encode("latin-1")
            answer = await g.client().get("/users/me", headers={b"Authorization": header})
            assert answer.status_code == 401, credential
            assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_token_without_signature_or_of_another_key_is_refused(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        good = jwt.decode(await g.log_in(), options={"verify_signature": False})
        unsigned = jwt.encode(good, "", algorithm="none")
        hmac = jwt.encode(good, "k" * 32, algorithm="HS256")
        service = jwt.encode(good, g.context.kit.platform.signer_of("train-svc").key, algorithm="EdDSA")
        for forged in (unsigned, hmac, service):
            assert (await g.client(forged).get("/users/me")).status_code == 401


async def test_internal_tokens_open_nothing_from_outside(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        internal = g.context.kit.platform.signer_of("train-svc").for_itself()
        assert (await g.client(internal).get("/users")).status_code == 401


async def test_an_api_key_is_shown_once_and_kept_as_a_digest(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        _, token = await g.user("alice")
        made = await g.key(token)
        assert made["key"].startswith("yk_")
        assert len(made["key"]) == LENGTH
        listed = await g.client(made["key"]).get("/api-keys")
        assert [item["id"] for item in listed.json()["items"]] == [made["id"]]
        assert made["key"] not in listed.text
        assert (await g.client(made["key"]).get("/users/me")).json()["name"] == "alice"
    stored = b"".join(path.read_bytes() for path in (tmp_path / "db").iterdir())
    assert made["id"].encode() in stored
    assert made["key"].encode() not in stored


async def test_a_revoked_key_is_refused_from_the_next_request_on(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        _, token = await g.user("alice")
        made, other = await g.key(token), await g.key(token)
        client = g.client(made["key"])
        assert (await client.get("/users/me")).status_code == 200
        assert (await client.delete(f"/api-keys/{made['id']}")).status_code == 204
        assert (await client.get("/users/me")).status_code == 401
        assert (await g.client(other["key"]).get("/users/me")).status_code == 200
        assert (await g.client(token).delete(f"/api-keys/{made['id']}")).status_code == 204
        assert [k["id"] for k in (await g.client(token).get("/api-keys")).json()["items"]] == [other["id"]]
        revoked = await g.client(token).get("/api-keys", params={"state": "revoked"})
        assert [k["id"] for k in revoked.json()["items"]] == [made["id"]]


async def test_a_key_that_is_verified_while_it_is_revoked_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gate(tmp_path) as g:
        _, token = await g.user("alice")
        made = await g.key(token)
        read, go = asyncio.Event(), asyncio.Event()
        real = users.find

        async def slowly(*args: object) -> object:
            found = await real(*args)  # type: ignore[arg-type]
            read.set()
            await go.wait()
            return found

        monkeypatch.setattr(users, "find", slowly)
        late = asyncio.create_task(g.context.authenticator.authenticate(f"Bearer {made['key']}".encode()))
        await read.wait()
        g.context.authenticator.forget_user(made["owner"])
        go.set()
        await late
        assert g.context.authenticator.known(f"Bearer {made['key']}".encode()) is None


async def test_a_key_expires(tmp_path: Path) -> None:
    clock = ManualClock(datetime.now(UTC))
    async with gate(tmp_path, clock=clock) as g:
        until = (clock.now() + timedelta(seconds=10)).isoformat()
        made = await g.key(await g.log_in(), expires_at=until)
        assert (await g.client(made["key"]).get("/users/me")).status_code == 200
        clock.advance(10)
        assert (await g.client(made["key"]).get("/users/me")).status_code == 401


WRONG_KEYS: list[dict[str, object]] = [
    {"name": ""},
    {"name": "x" * 101},
    {"name": "a\nb"},
    {"name": "k", "expires_at": "2020-01-01T00:00:00Z"},
    {"name": "k", "expires_at": "0001-01-01T00:00:00+14:00"},
    {"name": "k", "expires_at": "9999-12-31T23:59:59-14:00"},
    {"name": "k", "role": "admin"},
]


async def test_a_wrong_key_is_not_made(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        client = g.client(await g.log_in())
        for body in WRONG_KEYS:
            answer = await client.post("/api-keys", json=body)
            assert answer.status_code == 422, answer.text
            assert answer.json()["faults"]
        assert (await client.get("/api-keys")).json()["items"] == []


async def test_keys_are_bounded(tmp_path: Path) -> None:
    async with gate(tmp_path, keys_per_user=2) as g:
        token = await g.log_in()
        await g.key(token)
        await g.key(token)
        assert (await g.client(token).post("/api-keys", json={"name": "x"})).json()["code"] == "too_many_api_keys"


async def test_others_keys_are_neither_seen_nor_revoked(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        _, alice = await g.user("alice")
        _, bob = await g.user("bob")
        made = await g.key(alice)
        assert (await g.client(bob).get("/api-keys")).json()["items"] == []
        assert (await g.client(bob).delete(f"/api-keys/{made['id']}")).json()["code"] == "api_key_not_found"
        assert (await g.client(made["key"]).get("/users/me")).status_code == 200
        assert (await g.client(await g.log_in()).delete(f"/api-keys/{made['id']}")).status_code == 204
        assert (await g.client(made["key"]).get("/users/me")).status_code == 401


async def test_a_repeated_create_makes_one_key_and_tells_its_secret_once(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        client = g.client(await g.log_in())
        first = await client.post("/api-keys", json={"name": "k"}, headers={"Idempotency-Key": "once"})
        again = await client.post("/api-keys", json={"name": "k"}, headers={"Idempotency-Key": "once"})
        assert again.json() == {**first.json(), "key": None}
        assert len((await client.get("/api-keys")).json()["items"]) == 1


async def test_disabling_ends_logins_and_keys_at_once(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        alice, token = await g.user("alice")
        made = await g.key(token)
        admin = g.client(await g.log_in())
        answer = await admin.post(f"/users/{alice}/disable")
        assert answer.json()["state"] == "disabled"
        assert answer.json()["version"] == 2
        for credential in (token, made["key"]):
            assert (await g.client(credential).get("/users/me")).status_code == 401
        assert (await admin.post(f"/users/{alice}/disable")).json()["code"] == "illegal_state"
        await admin.post(f"/users/{alice}/enable")
        assert (await g.client(made["key"]).get("/users/me")).status_code == 200
        assert (await g.client(token).get("/users/me")).status_code == 401, "a login from before stays ended"


async def test_deleting_ends_logins_and_keys_for_good(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        alice, token = await g.user("alice")
        made = await g.key(token)
        admin = g.client(await g.log_in())
        for credential in (token, made["key"]):
            assert (await g.client(credential).get("/users/me")).status_code == 200
        assert (await g.client(token).delete(f"/users/{alice}")).status_code == 403
        assert (await admin.delete(f"/users/{alice}")).status_code == 204
        for credential in (token, made["key"]):
            assert (await g.client(credential).get("/users/me")).status_code == 401
        login = await g.client().post("/login", json={"name": "alice", "password": "password of alice"})
        assert login.json()["code"] == "bad_login"
        assert [user["name"] for user in (await admin.get("/users")).json()["items"]] == ["admin"]
        deleted = (await admin.get("/users?state=deleted")).json()["items"]
        assert [(user["id"], user["name"]) for user in deleted] == [(alice, "alice")], "whose things they were"
        again = [
            await admin.delete(f"/users/{alice}"),
            await admin.post(f"/users/{alice}/enable"),
            await admin.put(f"/users/{alice}/role", json={"role": "admin"}),
            await admin.put(f"/users/{alice}/password", json={"password": "another password"}),
        ]
        assert {(answer.status_code, answer.json()["code"]) for answer in again} == {(404, "user_not_found")}
        other, _ = await g.user("alice")
        assert other != alice, "who takes the name is somebody else"
        assert (await g.client(made["key"]).get("/users/me")).status_code == 401


async def test_nobody_deletes_themselves_and_an_administrator_is_left(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        admin = g.client(await g.log_in())
        me = (await admin.get("/users/me")).json()["id"]
        assert (await admin.delete(f"/users/{me}")).json()["code"] == "own_account"
        other, token = await g.user("second", role="admin")
        both = await asyncio.gather(admin.delete(f"/users/{other}"), g.client(token).delete(f"/users/{me}"))
        assert sorted(answer.status_code for answer in both)[0] == 204
        assert {answer.status_code for answer in both} & {401, 409}, "one of the two is still there"


async def test_a_new_password_ends_logins_but_not_keys(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        alice, token = await g.user("alice")
        made = await g.key(token)
        body = {"current": "wrong", "new": "another password"}
        assert (await g.client(token).put("/users/me/password", json=body)).json()["code"] == "wrong_password"
        body["current"] = "password of alice"
        assert (await g.client(token).put("/users/me/password", json=body)).status_code == 200
        assert (await g.client(token).get("/users/me")).status_code == 401
        assert (await g.client(made["key"]).get("/users/me")).status_code == 200
        assert await g.log_in("alice", "another password")
        await g.client(await g.log_in()).put(f"/users/{alice}/password", json={"password": "set by the admin"})
        assert await g.log_in("alice", "set by the admin")


async def test_a_role_counts_from_the_next_request_on(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        alice, token = await g.user("alice")
        client, admin = g.client(token), g.client(await g.log_in())
        assert (await client.get("/users")).json()["code"] == "admin_only"
        await admin.put(f"/users/{alice}/role", json={"role": "admin"})
        assert (await client.get("/users")).status_code == 200
        await admin.put(f"/users/{alice}/role", json={"role": "user"})
        assert (await client.get("/users")).status_code == 403


@pytest.mark.row("P3")
async def test_groups_count_from_the_next_request_on_and_travel_in_the_token(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        alice, token = await g.user("alice")
        client, admin = g.client(token), g.client(await g.log_in())
        assert (await client.get("/users/me")).json()["groups"] == []
        answer = await admin.put(f"/users/{alice}/groups", json={"groups": ["vision", "语音", "vision"]})
        assert answer.json()["groups"] == ["vision", "语音"]
        assert (await client.get("/users/me")).json()["groups"] == ["vision", "语音"]
        verified = await g.context.authenticator.authenticate(f"Bearer {token}".encode())
        assert verified.principal.groups == ("vision", "语音")
        bad = await admin.put(f"/users/{alice}/groups", json={"groups": ["ok", "no good", ""]})
        assert (bad.status_code, bad.json()["code"]) == (422, "invalid_groups")
        assert [fault["where"] for fault in bad.json()["faults"]] == ["groups.1", "groups.2"]
        assert (await client.put(f"/users/{alice}/groups", json={"groups": []})).json()["code"] == "admin_only"


async def test_the_last_administrator_stays(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        admin = g.client(await g.log_in())
        me = (await admin.get("/users/me")).json()["id"]
        assert (await admin.post(f"/users/{me}/disable")).json()["code"] == "last_administrator"
        answer = await admin.put(f"/users/{me}/role", json={"role": "user"})
        assert answer.status_code == 409
        other, token = await g.user("second", role="admin")
        both = await asyncio.gather(admin.post(f"/users/{other}/disable"), g.client(token).post(f"/users/{me}/disable"))
        assert sorted(answer.status_code for answer in both)[0] == 200
        assert {answer.status_code for answer in both} & {401, 409}, "one of the two is still there"


WRONG_USERS = [
    {"name": "", "password": "long enough"},
    {"name": "a b", "password": "long enough"},
    {"name": "-x", "password": "long enough"},
    {"name": "x" * 65, "password": "long enough"},
    {"name": "x\u0000", "password": "long enough"},
    {"name": "short", "password": "short"},
    {"name": "samesamesame", "password": "SameSameSame"},
    {"name": "alice", "password": "long enough", "role": "service"},
]


async def test_a_wrong_user_is_not_made(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        admin = g.client(await g.log_in())
        for body in WRONG_USERS:
            answer = await admin.post("/users", json=body)
            assert answer.status_code == 422, answer.text
            assert answer.json()["faults"]
        assert len((await admin.get("/users")).json()["items"]) == 1


async def test_names_are_compared_folded(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        await g.user("Straße")
        admin = g.client(await g.log_in())
        for name in ("STRASSE", "ｓtrasse"):
            answer = await admin.post("/users", json={"name": name, "password": "long enough"})
            assert answer.json()["code"] == "name_taken", name


async def test_a_password_that_is_made_here_is_told_once(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        made = (await g.client(await g.log_in()).post("/users", json={"name": "张伟"})).json()
        assert await g.log_in("张伟", made["password"])
        shown = await g.client(await g.log_in()).get(f"/users/{made['id']}")
        assert "password" not in shown.json()


async def test_users_see_themselves_only(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        alice, token = await g.user("alice")
        bob, _ = await g.user("bob")
        client = g.client(token)
        assert (await client.get(f"/users/{alice}")).status_code == 200
        assert (await client.get(f"/users/{bob}")).json()["code"] == "user_not_found"
        assert (await client.get("/users/user-nobody")).json()["code"] == "user_not_found"
        admin = g.client(await g.log_in())
        found = await admin.get("/users", params={"q": "bo", "sort": "name"})
        assert [user["name"] for user in found.json()["items"]] == ["bob"]


async def test_the_first_password_is_written_once_for_its_owner_alone(tmp_path: Path) -> None:
    async with gate(tmp_path, admin_password=None) as g:
        path = tmp_path / "admin-password"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        password = path.read_text().strip()
        assert len(password) >= 20
        assert await g.log_in("admin", password)
    async with gate(tmp_path, admin_password=None) as g:
        assert path.read_text().strip() == password
        token = await g.log_in("admin", password)
        body = {"current": password, "new": "one that I remember"}
        assert (await g.client(token).put("/users/me/password", json=body)).status_code == 200
        assert not path.exists(), "a file with a password that opens nothing would mislead"
    async with gate(tmp_path, admin_password=None) as g:
        assert not path.exists()
        assert await g.log_in("admin", "one that I remember")


async def test_a_kill_after_the_password_was_written_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "admin-password").write_text("written before the kill\n")
    async with gate(tmp_path, admin_password=None) as g:
        assert await g.log_in("admin", "written before the kill")


async def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.identity.authenticator.REMEMBERED", 3)
    async with gate(tmp_path) as g:
        token = await g.log_in()
        for made in [await g.key(token) for _ in range(5)]:
            await g.client(made["key"]).get("/users/me")
        assert len(g.context.authenticator._known) == 3
