"""What people are told of who uses a dataset, where a service has more than it names."""

from __future__ import annotations

import pytest

from dataset_svc.domain.uses import Use, Uses

ONE = Use("job", "job-1", "训练", "alice", "running")


@pytest.mark.row("D4")
@pytest.mark.parametrize(
    ("uses", "sentence"),
    [
        (Uses([ONE], more=True), "It is used by job '训练' (job-1) and others."),
        (Uses([ONE], 2, more=True), "It is used by job '训练' (job-1), 2 more and others."),
        (Uses(more=True), "It is used by others."),
        (Uses([ONE]), "It is used by job '训练' (job-1)."),
    ],
)
def test_that_there_are_still_others_is_said(uses: Uses, sentence: str) -> None:
    assert uses.sentence() == sentence
