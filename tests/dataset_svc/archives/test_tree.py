"""The tree of members: wrapping folders are seen through, empty folders known, clashes found."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_svc.archives import names
from dataset_svc.archives.tree import Tree


def tree(*paths: str) -> tuple[Tree, list[str]]:
    clashes: list[str] = []
    made = Tree(lambda path, other: clashes.append(path))
    for path in paths:
        if path.endswith("/"):
            made.add_folder(path[:-1])
        else:
            made.add_file(path)
    made.close(lambda: ((names.fold(path), path) for path in paths if not path.endswith("/")))
    return made, clashes


@pytest.mark.parametrize(
    ("paths", "wrapper"),
    [
        (["cat/1", "dog/1"], ""),
        (["ds/cat/1", "ds/dog/1"], "ds/"),
        (["a/b/c/cat/1", "a/b/c/dog/1"], "a/b/c/"),
        (["a/", "a/b/", "a/b/cat/", "a/b/cat/1", "a/b/dog/1"], "a/b/"),
        (["cat/1", "cat/2"], ""),
        (["ds/cat/1"], "ds/"),
        (["ds/cat/1", "ds/cat/"], "ds/"),
        (["ds/", "ds/cat/1", "ds/dog/"], "ds/"),
        (["ds/cat/1", "ds/readme.txt"], "ds/"),
        (["1", "2"], ""),
        (["cat/1", "2"], ""),
        (["cat/1", "cats/1"], ""),
        ([], ""),
    ],
)
def test_the_wrapping_folder(paths: list[str], wrapper: str) -> None:
    assert tree(*paths)[0].wrapper == wrapper
    assert tree(*reversed(paths))[0].wrapper == wrapper


def test_folders_with_entries_of_their_own() -> None:
    assert tree("ds/", "ds/cat/", "ds/cat/1", "ds/dog/1", "ds/empty/")[0].folders == ["cat", "empty"]


part = st.sampled_from(["a", "A", "b", "é", "e\u0301", "ß", "SS"]).map(lambda text: unicodedata.normalize("NFC", text))


@given(st.lists(st.lists(part, min_size=1, max_size=3).map("/".join), max_size=8))
def test_clashes_are_those_that_a_folding_file_system_has(paths: list[str]) -> None:
    exact: dict[str, str] = {}
    kinds: dict[str, str] = {}
    clash = False
    for path in paths:
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            name, kind = "/".join(parts[:depth]), "file" if depth == len(parts) else "folder"
            key = names.fold(name)
            clash |= exact.setdefault(key, name) != name or kinds.setdefault(key, kind) != kind
            clash |= kind == "file" and paths.count(path) > 1
    assert bool(tree(*paths)[1]) == clash
