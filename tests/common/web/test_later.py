"""Who is told that something is not there at present is told when to ask again."""

from common.kernel.errors import NotFound, Stopped, Unavailable
from common.web.problems import response


def test_what_is_not_there_at_present_says_when_to_come_again() -> None:
    assert response(Unavailable("x", "Not now.")).headers["retry-after"] == "1"
    assert response(Unavailable("x", "Not now.", retry_after=7)).headers["retry-after"] == "7"
    assert "retry-after" not in response(NotFound("x", "No.")).headers
    assert "retry-after" not in response(Stopped("x", "Start it.")).headers
