import io
import json
import logging

import pytest
import structlog

from common.telemetry import logs, traces
from tests.support.logs import logging_kept


@pytest.fixture
def stream():
    with logging_kept():
        yield io.StringIO()


def test_one_json_object_a_line_also_of_libraries(stream):
    logs.set_up("INFO", "json", stream)
    with traces.span("work"):
        structlog.get_logger("ours").info("job started", job="job-1", name_zh="训练")
    logging.getLogger("library").warning("careful: %s", 1)
    structlog.get_logger("ours").debug("not shown")
    ours, library = (json.loads(line) for line in stream.getvalue().splitlines())
    assert ours["event"] == "job started"
    assert ours["job"] == "job-1"
    assert ours["level"] == "info"
    assert ours["timestamp"].endswith("Z")
    assert library["event"] == "careful: 1"
    assert library["logger"] == "library"


def test_a_failure_is_logged_with_its_cause_on_the_same_line(stream):
    logs.set_up("INFO", "json", stream)
    try:
        raise ValueError("the cause")
    except ValueError:
        structlog.get_logger("ours").exception("it failed")
    (line,) = stream.getvalue().splitlines()
    assert "the cause" in json.loads(line)["exception"]
