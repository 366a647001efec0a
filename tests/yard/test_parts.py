"""Parts that are sent several at once: all are there at the end, and who breaks off is not held up."""

from __future__ import annotations

from threading import Barrier, Event

import pytest

from yard.parts import AT_ONCE, abreast

PATIENCE = 120.0


def test_several_are_on_their_way_at_once_and_all_are_told_in_order() -> None:
    together, told = Barrier(AT_ONCE), list[int]()

    def put(number: int, content: bytes) -> int:
        together.wait(PATIENCE)  # which breaks where fewer are under way
        return len(content)

    with abreast(told.append) as send:
        for number in range(2 * AT_ONCE):
            send(put, number, b"x" * number)
    assert told == list(range(2 * AT_ONCE))


def test_where_one_fails_those_on_their_way_end_and_no_more_begin() -> None:
    failed, begun, ended = Event(), list[int](), list[int]()

    def put(number: int, content: bytes) -> int:
        begun.append(number)
        if number == 0:
            failed.set()
            raise ValueError("refused")
        failed.wait(PATIENCE)
        ended.append(number)
        return len(content)

    def send_all() -> None:
        with abreast(lambda _: None) as send:
            for number in range(100):
                send(put, number, b"")

    with pytest.raises(ValueError, match="refused"):
        send_all()
    assert sorted(begun) == list(range(AT_ONCE))
    assert sorted(ended) == list(range(1, AT_ONCE))


def test_who_is_interrupted_waits_for_no_part() -> None:
    go_on, under_way = Event(), Event()

    def put(number: int, content: bytes) -> int:
        under_way.set()
        go_on.wait()
        return len(content)

    def interrupted() -> None:
        with abreast(lambda _: None) as send:
            send(put, 1, b"slow")
            under_way.wait(PATIENCE)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    go_on.set()
