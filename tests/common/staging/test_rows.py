"""Files whose lines are samples (row D8): every sample is on one side, whole, behind what the file begins with."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Sequence
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.kernel.errors import Problem
from common.ports.staging import Split
from common.staging.rows import RowSides
from common.staging.samples import Rows, parsed, written
from common.staging.splits import TEST, TRAIN

SAMPLES = st.lists(
    st.tuples(st.binary(min_size=1, max_size=12).map(lambda b: b.hex().encode()), st.integers(1, 3), st.integers(0, 3)),
    max_size=60,
    unique_by=lambda sample: sample[0],
)
"""Content, how many lines it takes, and its class."""
KNOWN = [["a"], ["b", "a"], ["猫"], []]


def lay(head: bytes, samples: Sequence[tuple[bytes, int, int]], *, ended: bool = True) -> tuple[bytes, Rows]:
    """A file with these samples and how they lie in it."""
    content, rows = head, Rows(array("I"), array("I"), KNOWN)
    for text, lines, kind in samples:
        rows.starts.append(content.count(b"\n") + 1)
        rows.kinds.append(kind)
        content += (text + b"\n") * lines
    return content if ended else content.removesuffix(b"\n"), rows


def parted(rule: Split, content: bytes, rows: Rows) -> tuple[dict[str, bytes], dict[str, Rows]]:
    [(sides, kept)] = all_parted(rule, [(content, rows)])
    return sides, kept


def all_parted(rule: Split, files: Sequence[tuple[bytes, Rows]]) -> list[tuple[dict[str, bytes], dict[str, Rows]]]:
    """The sides of several files of one version."""
    known = RowSides(rule)
    for content, rows in files:
        known.learn(rows, BytesIO(content))
    found = []
    for content, rows in files:
        sides = {TRAIN: BytesIO(), TEST: BytesIO()}
        kept = known.cut(rows, BytesIO(content), sides)
        found.append(({side: out.getvalue() for side, out in sides.items()}, kept))
    return found


@pytest.mark.row("D8")
@given(
    SAMPLES, st.floats(0.01, 0.99), st.integers(), st.sampled_from([b"", b"text,label\n", b"# 1\n\n"]), st.booleans()
)
def test_each_sample_is_on_one_side_whole_and_noted(samples, ratio, seed, head, ended):
    content, rows = lay(head, samples, ended=ended)
    sides, kept = parted(Split(ratio, seed), content, rows)
    found = []
    for side in (TRAIN, TEST):
        assert sides[side].startswith(head.removesuffix(b"\n") if not samples and not ended else head)
        lines = sides[side].splitlines()
        for number, (start, kind) in enumerate(zip(kept[side].starts, kept[side].kinds, strict=True)):
            end = [*kept[side].starts, len(lines) + 1][number + 1]
            [text] = set(lines[start - 1 : end - 1])
            found.append((text, end - start, kind))
    assert sorted(found) == sorted(samples)


@pytest.mark.row("D8")
@given(SAMPLES, st.floats(0.05, 0.95), st.integers())
def test_every_class_is_parted_by_the_ratio(samples, ratio, seed):
    content, rows = lay(b"", samples)
    _, kept = parted(Split(ratio, seed), content, rows)
    of = {side: Counter(next(iter(KNOWN[kind]), "") for kind in kept[side].kinds) for side in kept}
    for name, count in (of[TRAIN] + of[TEST]).items():
        wanted = count * (1 - ratio)
        assert abs(of[TEST][name] - wanted) < 1 or (count > 1 and of[TEST][name] in (1, count - 1)) or count == 1


@pytest.mark.row("D8")
@given(SAMPLES, st.integers(0, 60), st.integers())
def test_adding_a_sample_anywhere_moves_at_most_one_other_of_its_class(samples, at, seed):
    if not samples:
        return
    rule, [new, *others] = Split(0.7, seed), samples
    others = [one for one in others if one[2] == new[2]]
    before = parted(rule, *lay(b"", others))[0][TEST].splitlines()
    after = parted(rule, *lay(b"", [*others[:at], new, *others[at:]]))[0][TEST].splitlines()
    moved = (set(before) ^ set(after)) - {new[0]}
    assert len(moved) <= 1


@given(st.lists(st.integers(0, 9), min_size=1, max_size=80), st.floats(0.05, 0.95), st.integers())
def test_the_same_sample_twice_is_on_one_side_as_near_to_the_ratio_as_that_lets(numbers, ratio, seed):
    sides, _ = parted(Split(ratio, seed), *lay(b"", [(b"%d" % number, 1, 0) for number in numbers]))
    train, test = (Counter(sides[side].splitlines()) for side in (TRAIN, TEST))
    assert not train.keys() & test.keys()
    assert train + test == Counter(b"%d" % number for number in numbers)
    assert train
    assert bool(test) == (len(set(numbers)) > 1)
    most = max(Counter(numbers).values())
    assert not test or abs(test.total() - len(numbers) * (1 - ratio)) <= max(most, 1 + len(numbers) / 100)


@given(st.lists(st.lists(st.integers(0, 500), max_size=4), min_size=1, max_size=60), st.floats(0.1, 0.9), st.integers())
def test_the_ratio_is_that_of_all_files_together(files, ratio, seed):
    laid = [lay(b"text\n", [(b"%d" % number, 1, 0) for number in numbers]) for numbers in files]
    found = all_parted(Split(ratio, seed), laid)
    train, test = ([row for sides, _ in found for row in sides[side].splitlines()[1:]] for side in (TRAIN, TEST))
    assert not set(train) & set(test)
    assert sorted(train + test) == sorted(b"%d" % number for numbers in files for number in numbers)
    if len(set(train + test)) == len(train + test) > 1:
        assert test
        assert abs(len(test) - len(train + test) * (1 - ratio)) <= 1


def test_the_mark_of_byte_order_is_the_files_and_not_the_first_samples():
    samples = [(b"%d" % number, 1, 0) for number in range(10)]
    content, rows = lay(b"", samples)
    marked, plain = parted(Split(0.5), b"\xef\xbb\xbf" + content, rows), parted(Split(0.5), content, rows)
    assert marked == plain
    content, rows = lay(b"text\n", samples)
    assert all(
        side.startswith(b"\xef\xbb\xbftext\n")
        for side in parted(Split(0.5), b"\xef\xbb\xbf" + content, rows)[0].values()
    )


def listed(samples: Sequence[tuple[bytes, int, int]], between: tuple[bytes, bytes]) -> tuple[bytes, Rows]:
    """The same as a JSON list, with these blanks before and behind each comma."""
    content, rows = b"\n [" + between[1], Rows(array("I"), array("I"), KNOWN, listed=True)
    for number, (text, size, kind) in enumerate(samples):
        content += between[0] + b"," + between[1] if number else b""
        rows.starts.append(len(content))
        rows.kinds.append(kind)
        content += b'{"%s}],{": [%d]}' % (text, size)
    return content + between[0] + b"]\n", rows


@pytest.mark.row("D8")
@given(SAMPLES, st.floats(0.01, 0.99), st.integers(), st.sampled_from([(b"", b""), (b"\n", b"\r\n\t"), (b" ", b"")]))
def test_each_element_of_a_list_is_on_one_side_and_each_side_is_a_list(samples, ratio, seed, between):
    content, rows = listed(samples, between)
    sides, kept = parted(Split(ratio, seed), content, rows)
    elements = {side: json.loads(text) for side, text in sides.items()}
    assert sorted(map(str, elements[TRAIN] + elements[TEST])) == sorted(map(str, json.loads(content)))
    for side, text in sides.items():
        assert kept[side].listed
        assert [json.JSONDecoder().raw_decode(text.decode(), start)[0] for start in kept[side].starts] == elements[side]
        kinds = {f"{text.decode()}}}],{{": kind for text, _, kind in samples}
        assert [kinds[next(iter(element))] for element in elements[side]] == list(kept[side].kinds)
    again = {side: parted(Split(ratio, seed), text, kept[side])[0] for side, text in sides.items()}
    assert all(json.loads(one[TRAIN]) or not elements[side] for side, one in again.items())


@given(SAMPLES)
def test_a_list_is_parted_as_lines_are(samples):
    samples = [(b'{"%s": 1}' % text, 1, kind) for text, _, kind in samples]
    content = b"[" + b",".join(text for text, *_ in samples) + b"]"
    starts = [content.index(text) for text, *_ in samples]
    rows = Rows(array("I", starts), array("I", [kind for *_, kind in samples]), KNOWN, listed=True)
    of_list, of_lines = (parted(Split(0.7, 3), *file)[0] for file in ((content, rows), lay(b"", samples)))
    for side in (TRAIN, TEST):
        assert json.loads(of_list[side]) == [json.loads(line) for line in of_lines[side].splitlines()]


@given(SAMPLES, st.booleans())
def test_what_is_noted_is_read_again(samples, in_a_list):
    rows = lay(b"head\n", samples)[1]._replace(listed=in_a_list)
    again = parsed(b"".join(written(rows)))
    assert (again.starts, again.kinds, again.known, again.listed) == (rows.starts, rows.kinds, KNOWN, in_a_list)


def test_what_was_damaged_is_not_believed():
    content = b"".join(written(lay(b"", [(b"1", 1, 0), (b"2", 1, 2)])[1]))
    for broken in (content[:-1], b"[" + content, b"", b"{}\n", b"3\n"):
        with pytest.raises(Problem, match="damaged"):
            parsed(broken)
