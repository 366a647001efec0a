"""The gateway's rules alone: throttling, paths, balancing, sight, states, one document of many."""

from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway
from common.kernel.errors import Conflict
from gateway.domain.api_key import KEY, LENGTH, KeyState, digest_of, looks_like_key, new_secret
from gateway.domain.balance import Target, pick
from gateway.domain.document import merge
from gateway.domain.paths import in_ascii, is_safe
from gateway.domain.routing import API, OWNERS, collection_of
from gateway.domain.sight import wanted
from gateway.domain.throttle import Limit, Throttle
from gateway.domain.user import USER, UserState, login_of

README = Path(gateway.__file__).parents[2] / "README.md"


@pytest.mark.parametrize("table", [USER, KEY], ids=["user", "key"])
def test_the_readme_draws_the_tables(table: object) -> None:
    assert table.mermaid() in README.read_text()  # type: ignore[attr-defined]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=60), st.integers(1, 5), st.integers(1, 10))
def test_never_more_than_the_limit_within_a_window(pauses: list[int], attempts: int, seconds: int) -> None:
    throttle, now, allowed = Throttle(Limit(attempts, seconds)), 0, []
    for pause in pauses:
        now += pause
        wait = throttle.attempt("key", now)
        if wait == 0:
            allowed.append(now)
        else:
            assert 0 < wait <= seconds
            assert throttle.attempt("key", now + wait) == 0
            return
    windows = [sum(1 for at in allowed if began <= at < began + seconds) for began in allowed]
    assert max(windows) <= 2 * attempts, "a fixed window lets through at most twice its limit across its edge"


@given(st.lists(st.text(max_size=3), max_size=100))
def test_a_throttle_remembers_no_more_than_it_may(keys: list[str]) -> None:
    throttle = Throttle(Limit(1, 100), capacity=5)
    for key in keys:
        throttle.attempt(key, 0)
    assert len(throttle) <= 5


def test_a_success_forgets() -> None:
    throttle = Throttle(Limit(1, 100))
    assert throttle.attempt("a", 0) == 0
    assert throttle.attempt("a", 1) == 99
    throttle.succeeded("a")
    assert throttle.attempt("a", 2) == 0


@given(st.binary(max_size=30).map(lambda tail: b"/" + tail))
def test_a_safe_path_has_no_way_up_however_it_is_decoded(raw: bytes) -> None:
    if not is_safe(raw):
        return
    for decoded in (raw, unquote_to_bytes(raw)):
        segments = decoded.split(b"/")
        assert b".." not in segments
        assert b"." not in segments
        assert b"\\" not in decoded
        assert b"" not in segments[1:-1]
    assert unquote_to_bytes(raw).count(b"/") == raw.count(b"/"), "no separator in disguise"


@given(st.binary(max_size=30))
def test_a_path_on_the_wire_means_the_same_bytes(raw: bytes) -> None:
    written = in_ascii(raw)
    assert written.isascii()
    assert unquote_to_bytes(written) == unquote_to_bytes(raw)


targets = st.lists(
    st.builds(Target, st.text(max_size=3), st.just("http://a"), st.integers(0, 5), st.floats(0, 10)), max_size=8
)


@given(targets, st.floats(0, 10), st.data())
def test_the_next_is_the_least_busy_of_those_that_take_connections(
    all_of_them: list[Target], now: float, data: st.DataObject
) -> None:
    tried = data.draw(st.lists(st.sampled_from(all_of_them), max_size=8)) if all_of_them else []
    rest = [target for target in all_of_them if target not in tried]
    chosen = pick(all_of_them, now, tried)
    if not rest:
        assert chosen is None
        return
    assert chosen in rest
    sound = [target for target in rest if target.avoid_until <= now] or rest
    if len(rest) > 1:
        assert chosen in sound
        assert chosen.in_flight == min(target.in_flight for target in sound)


def test_equals_share_the_load() -> None:
    equals = [Target(str(number), "http://a") for number in range(3)]
    chosen = {pick(equals, 0.0) for _ in range(200)}
    assert len(chosen) == 3


@given(st.text())
def test_names_are_compared_the_same_however_often_they_are_folded(name: str) -> None:
    assert login_of(login_of(name)) == login_of(name)


def test_keys_are_long_random_and_recognisable() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(len(secret) == LENGTH and looks_like_key(secret) for secret in secrets)
    assert len(digest_of(new_secret())) == 64


def test_a_revoked_key_stays_revoked() -> None:
    assert KEY.move(KeyState.ACTIVE, "revoke") == KeyState.REVOKED
    with pytest.raises(Conflict):
        KEY.move(KeyState.REVOKED, "revoke")
    assert USER.verbs(UserState.DISABLED) == ("enable", "delete")


@pytest.mark.parametrize(
    ("types", "event", "passes"),
    [([], "job.started", True), (["job.*"], "job.started", True), (["job.started"], "job.started", True),
     (["job.*"], "model.created", False), (["job"], "job.started", False)],
)  # fmt: skip
def test_filters_of_types(types: list[str], event: str, passes: bool) -> None:
    assert wanted(event, types) is passes


def test_collections_are_found_in_paths() -> None:
    assert collection_of("/api/v1/jobs/job-1/log") == "jobs"
    assert collection_of("/api/v1/jobs") == "jobs"
    assert collection_of("/serve/x") is None
    assert all("/" not in collection for collection in OWNERS)
    assert API.endswith("/")


def _document(schema: object, path: str, name: str = "Item") -> dict[str, object]:
    reference = {"$ref": f"#/components/schemas/{name}"}
    answer = {"200": {"content": {"application/json": {"schema": reference}}}}
    operation = {"operationId": "list", "responses": answer, "x-permission": "user"}
    return {"paths": {path: {"get": operation}}, "components": {"schemas": {name: schema}}}


def test_documents_are_merged_without_mixing_up_what_has_the_same_name() -> None:
    merged = merge(
        "All",
        {
            "gateway": _document({"type": "object"}, "/a"),
            "dataset-svc": _document({"type": "string"}, "/b"),
            "train-svc": _document({"type": "object"}, "/c"),
            "algo-svc": _document({"type": "string"}, "/a"),
        },
    )
    assert set(merged["paths"]) == {"/a", "/b", "/c"}
    schemas = merged["components"]["schemas"]
    assert schemas["Item"] == {"type": "object"}
    assert schemas["DatasetItem"] == {"type": "string"}

    def reference(path: str) -> str:
        answer = merged["paths"][path]["get"]["responses"]["200"]
        return str(answer["content"]["application/json"]["schema"]["$ref"])

    assert [reference(path) for path in ("/a", "/b", "/c")] == [
        "#/components/schemas/Item",
        "#/components/schemas/DatasetItem",
        "#/components/schemas/Item",
    ]
    ids = [merged["paths"][path]["get"]["operationId"] for path in ("/a", "/b", "/c")]
    assert len(set(ids)) == 3
    assert merged["paths"]["/b"]["get"]["x-permission"] == "user"
    assert merged["components"]["securitySchemes"]


def test_references_inside_components_follow() -> None:
    inner = {"properties": {"next": {"$ref": "#/components/schemas/Item"}}}
    merged = merge("All", {"gateway": _document({}, "/a"), "train-svc": _document(inner, "/b")})
    assert (
        merged["components"]["schemas"]["TrainItem"]["properties"]["next"]["$ref"] == "#/components/schemas/TrainItem"
    )
