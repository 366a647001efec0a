"""What is wrong with the secrets of a source is told before they are kept, and without them."""

from __future__ import annotations

import pytest

from common.sources import SwiftConnection
from common.sources.connections import SECRETS, secret_faults
from tests.contracts.sources.test_impostors import PAGE, impostor, refusal, saying


@pytest.mark.row("D11")
@pytest.mark.parametrize("kind", [kind for kind, names in SECRETS.items() if names])
@pytest.mark.parametrize("value", ["canary\n", "\rcanary", "can\0ary", "can\x7fary", "can\tary", "can\x85ary"])
def test_a_control_character_is_a_fault_of_its_field(kind: str, value: str) -> None:
    first, second = SECRETS[kind]
    [fault] = secret_faults(kind, {first: "right 密码", second: value})
    assert fault.where == f"credentials.{second}"
    assert "control character" in fault.reason
    assert "canary" not in fault.reason


@pytest.mark.row("D11")
@pytest.mark.parametrize("kind", SECRETS)
def test_all_else_may_be_a_secret(kind: str) -> None:
    assert secret_faults(kind, dict.fromkeys(SECRETS[kind], "pass wörd 密码 '\"%\\")) == []


@pytest.mark.row("D11")
async def test_one_that_was_kept_before_is_refused_and_no_fault_of_the_platform() -> None:
    async with impostor(saying(PAGE)) as at:
        problem = await refusal(SwiftConnection(auth_url=at, container="c"), {"user_name": "u", "password": "canary\n"})
    assert problem.code == "source_refused"
    assert "Correct auth_url and the credentials" in problem.detail
    assert "canary" not in problem.detail
