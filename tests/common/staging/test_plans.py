"""The pure parts of staging: which pieces are read, and what is dropped first."""

from hypothesis import given
from hypothesis import strategies as st

from common.manifests import Entry
from common.staging import eviction
from common.staging.runs import GAP, LARGEST, plan
from common.staging.shelf import Note

SIZES = st.one_of(st.integers(0, 5), st.integers(0, 200_000), st.integers(LARGEST - 5, LARGEST + 5))


@given(st.lists(st.tuples(st.integers(0, 2), SIZES, st.booleans()), max_size=40), st.randoms())
def test_every_file_is_read_once_in_pieces_that_fit_in_memory(layout, order):
    ends = [0, 0, 0]
    entries = []
    for n, (number, size, taken) in enumerate(layout):
        if taken:
            entries.append(Entry(f"f{n}", size, "", number, ends[number]))
        ends[number] += size
    order.shuffle(entries)
    runs = list(plan(entries))
    assert sorted(e for run in runs for e in run.entries) == sorted(entries)
    for run in runs:
        assert run.whole or len(run.entries) == 1
        assert run.start == min(e.offset for e in run.entries)
        assert run.end == max(e.offset + e.size for e in run.entries)
        assert {e.object for e in run.entries} == {run.object}
        assert (run.end - run.start) - sum(e.size for e in run.entries) <= GAP * (len(run.entries) - 1)


def test_neighbours_are_read_together():
    entries = [Entry(f"f{n}", 1000, "", 0, n * 1000) for n in range(500)]
    assert len(list(plan(entries))) == 1


NOTES = st.dictionaries(st.sampled_from("abcdef"), st.tuples(st.integers(1, 9), st.integers(0, 5)), max_size=6).flatmap(
    lambda plain: st.tuples(
        st.just(plain),
        st.lists(st.tuples(st.sampled_from([*plain] or [""]), st.integers(0, 5)), max_size=4 if plain else 0),
    )
)


def notes_of(made):
    plain, views = made
    notes = [Note(name, {name: size}, used) for name, (size, used) in plain.items()]
    return notes + [Note(f"{base}-{n}", {base: plain[base][0]}, used) for n, (base, used) in enumerate(views)]


@given(NOTES, st.sets(st.sampled_from([*"abcdef", "a-0", "b-1", "c-0"])), st.integers(0, 40))
def test_what_is_held_stays_and_no_more_goes_than_must(made, held, keep):
    notes = notes_of(made)
    groups = eviction.plan(notes, held, keep)
    gone = {name for group in groups for name in group.names}
    left = [note for note in notes if note.name not in gone]
    assert not gone & held
    shared = {data for note in left if note.name in held for data in note.data}
    assert eviction.total(left) <= keep or {data for note in left for data in note.data} == shared
    if groups:
        assert eviction.total(left) + groups[-1].bytes > keep
        used = {data: max(n.used for n in notes if data in n.data) for note in notes for data in note.data}
        remaining = {data for note in left for data in note.data} - shared
        assert all(used[data] >= group.used for data in remaining for group in groups)
    for group in groups:
        assert group.names[-1] == group.data
