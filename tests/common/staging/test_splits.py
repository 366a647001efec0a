"""Splits (row D8): the ratio in every class, the same every time, and as stable under growth as that allows."""

from collections import Counter
from fractions import Fraction

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.files import LocalFiles
from common.kernel.errors import Invalid
from common.manifests import store_bytes
from common.ports.staging import Split
from common.staging import split
from common.staging.samples import CLASSES, FileClasses
from common.staging.splits import Sides

RATIOS = st.floats(0.01, 0.99)
PATHS = st.lists(
    st.tuples(st.sampled_from(["cat", "dog", "猫", ""]), st.integers(0, 10_000)).map(
        lambda pair: f"{pair[0]}/{pair[1]}.png" if pair[0] else f"{pair[1]}.png"
    ),
    unique=True,
    max_size=120,
)
RULES = st.builds(Split, ratio=RATIOS, seed=st.integers(), stratify=st.sampled_from(["first_folder", "none"]))


def class_of(path: str, rule: Split) -> str:
    return path.split("/")[0] if "/" in path and rule.stratify == "first_folder" else ""


@pytest.mark.row("D8")
@given(PATHS, RULES, st.randoms())
def test_every_file_has_one_side_whatever_the_order(paths, rule, order):
    train, test = split(paths, rule)
    assert sorted(train + test) == sorted(paths)
    assert (train, test) == (sorted(train), sorted(test))
    order.shuffle(paths)
    assert split(paths, rule) == (train, test)


@pytest.mark.row("D8")
@given(PATHS, RULES)
def test_in_every_class_the_ratio_holds_and_no_side_is_empty(paths, rule):
    train, _ = split(paths, rule)
    sizes = Counter(class_of(path, rule) for path in paths)
    trained = Counter(class_of(path, rule) for path in train)
    for name, size in sizes.items():
        if size == 1:
            assert trained[name] == 1
            continue
        assert 1 <= trained[name] <= size - 1
        wanted = min(max(size * Fraction(repr(rule.ratio)), Fraction(1)), Fraction(size - 1))
        assert abs(trained[name] - wanted) <= max(Fraction(1, 2), Fraction(size, 100))


@pytest.mark.row("D8")
@given(PATHS, st.integers(10_001, 99_999), RULES)
def test_a_file_more_moves_at_most_one_other_and_only_in_its_class(paths, number, rule):
    added = f"cat/{number}.png"
    before = set(split(paths, rule)[1])
    after = set(split([*paths, added], rule)[1]) - {added}
    moved = before ^ after
    assert len(moved) <= 1
    assert all(class_of(path, rule) == class_of(added, rule) for path in moved)


def test_a_large_class_whose_ratio_holds_by_itself_moves_nothing_as_it_grows():
    rule = Split(0.8, seed=1)
    paths = [f"c/{n}" for n in range(20_000)]
    earlier = set(split(paths[:10_000], rule)[1])
    later = set(split(paths, rule)[1])
    assert earlier <= later


@pytest.mark.parametrize(
    ("count", "ratio", "expected"),
    [(10, 0.9, 1), (100, 0.9, 10), (30, 0.9, 3), (10, 0.5, 5), (4, 0.75, 1), (2, 0.99, 1), (2, 0.01, 1), (50, 0.7, 15)],
)
def test_small_classes_have_the_ratio_to_the_file(count, ratio, expected):
    _, test = split([f"c/{n}" for n in range(count)], Split(ratio))
    assert abs(len(test) - expected) <= (1 if count == 100 else 0)


def test_another_seed_is_another_split_and_the_same_seed_the_same_for_ever():
    paths = [f"{name}/{n}" for name in ("a", "b") for n in range(20)]
    one, two = split(paths, Split(0.8, seed=1))[1], split(paths, Split(0.8, seed=2))[1]
    assert one != two
    assert one == ["a/12", "a/15", "a/3", "a/7", "b/11", "b/16", "b/17", "b/9"]


@pytest.mark.parametrize("ratio", [0, 1, 0.0, 1.0, 1.5, -0.1, float("nan"), float("inf")])
def test_a_ratio_that_is_none_is_refused(ratio):
    with pytest.raises(Invalid) as refused:
        split(["a"], Split(ratio))
    assert refused.value.code == "bad_ratio"


def test_no_files_are_split_into_none():
    assert split([], Split(0.9)) == ([], [])


@pytest.mark.row("D8")
@given(st.integers(2, 60), RATIOS, st.integers())
def test_what_is_beside_a_sample_goes_with_it_and_what_describes_all_goes_to_both(count, ratio, seed):
    samples = [f"pictures/{n}.{'png' if n % 2 else 'jpg'}" for n in range(count)]
    beside = [f"{path.rpartition('.')[0]}.json" for path in samples]
    alone = ["annotations/instances.JSON", "annotation.conf", "pictures/lost.json"]
    train, test = split([*samples, *beside, *alone], Split(ratio, seed, describing=(".json", ".conf")))
    assert (train, test) != (sorted(train + test), [])
    for path, its in zip(samples, beside, strict=True):
        assert (path in train, path in test) == (its in train, its in test)
    assert set(alone) <= set(train) & set(test)
    plain = split(samples, Split(ratio, seed))
    assert tuple([path for path in side if path in samples] for side in (train, test)) == plain


@given(PATHS, RULES)
def test_without_a_word_of_the_format_every_file_is_a_sample(paths, rule):
    named = [path.replace(".png", ".json") if len(path) % 2 else path for path in paths]
    train, test = split(named, rule)
    assert not set(train) & set(test)
    assert sorted(train + test) == sorted(named)


@given(st.lists(st.sampled_from(["often", "seldom", ""]), min_size=1, max_size=80), st.integers(), RATIOS)
def test_a_class_that_is_told_counts_for_that_of_the_folder(classes, seed, ratio):
    sides = Sides(Split(ratio, seed))
    for number, name in enumerate(classes):
        sides.learn(f"folder/{number}.png", name)
    tested = Counter(name for number, name in enumerate(classes) if sides.of(f"folder/{number}.png") == ("test",))
    for name, count in Counter(classes).items():
        part = count * (1 - Fraction(repr(ratio)))
        assert abs(tested[name] - part) <= max(Fraction(1, 2), part / 100) or tested[name] in (
            min(1, count - 1),
            count - 1,
        )


async def test_classes_are_read_beside_the_list_of_the_files(tmp_path):
    files = LocalFiles(tmp_path / "store", sync=False)
    known = {f"{n:03d}": [f"c{n % 3}"] for n in range(0, 200, 2)}
    ref = await store_bytes(files, {CLASSES: b"".join(orjson.dumps(pair) + b"\n" for pair in known.items())}, "noted")
    found: dict[str, object] = {}
    classes = FileClasses(files, ref)
    for last in ("000", "001", "099", "150", "999"):
        some = await classes.upto(last)
        assert all(path <= last for path in some)
        assert not found.keys() & some.keys()
        found |= some
    assert found == known
    assert await FileClasses(files, await store_bytes(files, {"file/a": b"{}"}, "without")).upto("z") == {}
    await files.close()
