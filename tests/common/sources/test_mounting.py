"""A source that is mounted gives its connection back, even where it has more files than may be mounted."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from common.kernel.errors import Invalid
from common.sources import Found
from common.workloads.mounting import _listed


class Endless:
    """A source that never ends and notes whether its listing was closed."""

    def __init__(self) -> None:
        self.closed = False

    async def files(self) -> AsyncGenerator[Found, None]:
        """One file after the other."""
        try:
            while True:
                yield Found("1.png", 1)
        finally:
            self.closed = True

    async def read(self, path: str) -> AsyncGenerator[bytes, None]:
        """Its path."""
        yield path.encode()

    async def close(self) -> None:
        """Nothing is held."""


@pytest.mark.row("D11")
async def test_a_listing_that_is_too_long_is_closed_where_it_stops() -> None:
    source = Endless()
    with pytest.raises(Invalid) as refused:
        await _listed(source, "src-1@1/", 3)
    assert refused.value.code == "too_many_files"
    assert source.closed
