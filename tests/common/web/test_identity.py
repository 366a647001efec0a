"""Tokens: whose, for how long, and who may speak for whom."""

import stat
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import jwt
import pytest

from common.kernel.errors import Unauthenticated
from common.web.identity import AUDIENCE, LEEWAY_SECONDS, KeyRing, Principal, open_signer

ALICE = Principal("user-1", "user", "alice", ("lab",))


@pytest.fixture
def keys(tmp_path):
    return tmp_path / "private", tmp_path / "public"


def test_what_the_gateway_signs_every_service_reads(keys):
    signer = open_signer("gateway", *keys)
    ring = KeyRing(keys[1])
    token = signer.sign(ALICE)
    assert ring.verify(token) == ALICE
    assert ring.verify(token) == ALICE, "also from memory"


def test_keys_are_private_and_stay_the_same(keys):
    token = open_signer("gateway", *keys).sign(ALICE)
    again = open_signer("gateway", *keys)
    assert KeyRing(keys[1]).verify(token) == KeyRing(keys[1]).verify(again.sign(ALICE))
    assert stat.S_IMODE((keys[0] / "gateway.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(keys[0].stat().st_mode) == 0o700


def test_a_service_speaks_for_itself_only(keys):
    signer = open_signer("train-svc", *keys)
    ring = KeyRing(keys[1])
    assert ring.verify(signer.for_itself()).role == "service"
    for principal in (ALICE, Principal("user-1", "admin"), Principal("serving-svc", "service")):
        with pytest.raises(Unauthenticated):
            ring.verify(signer.sign(principal))


def forged(keys, **changes):
    signer = open_signer("gateway", *keys)
    claims = jwt.decode(signer.sign(ALICE), options={"verify_signature": False}) | changes
    return jwt.encode(
        {k: v for k, v in claims.items() if v is not None}, signer._key, "EdDSA", headers={"kid": "gateway"}
    )


@pytest.mark.parametrize(
    "changes", [{"aud": "elsewhere"}, {"exp": 1}, {"exp": None}, {"iss": "train-svc"}, {"sub": None}], ids=str
)
def test_wrong_claims_are_refused(keys, changes):
    with pytest.raises(Unauthenticated):
        KeyRing(keys[1]).verify(forged(keys, **changes))


def test_other_algorithms_and_unknown_keys_are_refused(keys, tmp_path):
    open_signer("gateway", *keys)
    public = (keys[1] / "gateway.pub").read_text()
    claims = {"sub": "user-1", "role": "admin", "aud": AUDIENCE, "iss": "gateway", "exp": 9e9, "iat": 1}
    ring = KeyRing(keys[1])
    stranger = open_signer("gateway", tmp_path / "p2", tmp_path / "q2").sign(ALICE)
    none = jwt.encode(claims, "", "none", headers={"kid": "gateway"})
    outside = jwt.encode(claims, "k" * 40, "HS256", headers={"kid": "../private/gateway"})
    for token in (stranger, none, outside, "", "a.b.c", public):
        with pytest.raises(Unauthenticated):
            ring.verify(token)


def test_a_remembered_token_still_expires(keys, monkeypatch):
    ring, now = KeyRing(keys[1]), time.time()
    monkeypatch.setattr("common.web.identity.time.time", lambda: now)
    token = open_signer("gateway", *keys).sign(ALICE, seconds=30)
    ring.verify(token)
    ring.time.set(now + 30 + LEEWAY_SECONDS - 2)
    ring.verify(token)
    ring.time.set(now + 30 + LEEWAY_SECONDS + 1)
    with pytest.raises(Unauthenticated):
        ring.verify(token)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_set_while_tokens_are_good_changes_nothing(keys, hours, monkeypatch):
    signer, ring = open_signer("train-svc", *keys), KeyRing(keys[1])
    before, now = signer.for_itself(), time.time()
    monkeypatch.setattr("common.web.identity.time.time", lambda: now + hours * 3600)
    assert signer.for_itself() == before
    assert ring.verify(before).id == "train-svc"
    assert ring.verify(signer.sign(Principal("train-svc", "service", "x"))).name == "x"
    assert KeyRing(keys[1]).time.now() == pytest.approx(now + hours * 3600, abs=60)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_service_that_starts_with_a_wrong_clock_signs_by_the_shared_one(keys, hours, monkeypatch):
    ring, now = KeyRing(keys[1]), time.time()
    monkeypatch.setattr("common.web.identity.time.time", lambda: now + hours * 3600)
    wrong = open_signer("train-svc", *keys)
    early = wrong.for_itself()
    with pytest.raises(Unauthenticated):
        ring.verify(early)
    wrong.time.set(now)
    assert ring.verify(wrong.for_itself()).id == "train-svc", "made anew, since the hour was another"


@pytest.mark.parametrize(("ahead", "good"), [(LEEWAY_SECONDS - 5, True), (LEEWAY_SECONDS + 5, False)])
def test_a_token_of_the_future_is_taken_only_within_the_leeway(keys, ahead, good):
    signer, ring = open_signer("train-svc", *keys), KeyRing(keys[1])
    signer.time.set(time.time() + ahead)
    with nullcontext() if good else pytest.raises(Unauthenticated):
        ring.verify(signer.for_itself())


def test_of_several_that_make_a_key_at_once_one_is_first(keys):
    with ThreadPoolExecutor(8) as at_once:
        signers = list(at_once.map(lambda _: open_signer("train-svc", *keys), range(8)))
    ring = KeyRing(keys[1])
    assert {ring.verify(signer.for_itself()).id for signer in signers} == {"train-svc"}
    assert [path.name for path in keys[0].iterdir()] == ["train-svc.pem"]
