"""What the parser of large annotation files is given."""

from __future__ import annotations

import ijson

from dataset_svc.formats.known.json.reading import _Source

ASKED = 1 << 16


def test_the_parser_gets_no_more_than_it_asks_for() -> None:
    source = _Source(iter([b"[" + b"1," * (1 << 19), b"1]"]))
    given: list[tuple[int, int]] = []
    read = source.read

    def counted(size: int = -1) -> bytes:
        piece = read(size)
        given.append((size, len(piece)))
        return piece

    source.read = counted  # type: ignore[method-assign]
    for _ in ijson.basic_parse(source, buf_size=ASKED):
        source.left = 1 << 20
    assert given[0] == (0, 0)
    assert max(length for _, length in given) == ASKED
