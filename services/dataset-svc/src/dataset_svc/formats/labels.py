"""What can be the name of a class, and what is text at all, whatever format says it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from typing import Any

from dataset_svc.formats.port import Sink

LONGEST = 200
"""Characters of a class' name."""
MOST_CLASSES = 10_000
"""Classes of a dataset; where there are more, something else was taken for classes."""

TEXT_NAMES = ("text", "content", "sentence", "文本", "内容", "正文")
"""What a text may be called: the column of a table, or the member of an object in JSON."""

_HALVES = re.compile(r"[\ud800-\udfff]").search


def label_fault(label: Any) -> str:
    """Why it can't be the name of a class, in words that follow "it"; empty where it can."""
    if not isinstance(label, str):
        return "is missing" if label is None else "is no string"
    if not label.strip():
        return "is empty"
    if len(label) > LONGEST:
        return f"has {len(label):,} characters; a class may have {LONGEST}"
    return "" if label.isprintable() else "has a control character"


def is_text(text: str) -> bool:
    """Whether every character is one: JSON can also say halves of one (RFC 8259 §8.2)."""
    return _HALVES(text) is None


_SHARE = "Give each thing a class that it shares with others."


class Classes:
    """In how many files (or texts) each class is and how often, of at most MOST_CLASSES; that there are more is told
    once. `what` they are and the `advice` where they are too many are for people."""

    def __init__(self, sink: Sink, what: str = "classes", advice: str = _SHARE) -> None:
        self._sink, self._what, self._advice = sink, what, advice
        self._files: Counter[str] = Counter()
        self._times: Counter[str] = Counter()
        self._told = False

    def add(self, names: Collection[str], file: str) -> None:
        """The classes of all that is in one file, each as often as it is there. The first ones are kept, so where there
        may be too many they come in an order that is always the same."""
        for name, times in Counter(names).items():
            self.count(name, file, times)

    def count(self, name: str, file: str, times: int) -> None:
        """One class of a file, and how often it is there; 0 for a class that is known while no file has it."""
        if name in self._files or len(self._files) < MOST_CLASSES:
            self._files[name] += times > 0
            self._times[name] += times
        else:
            self._tell(file)

    def files(self) -> dict[str, int]:
        """In how many files each is, by name."""
        return dict(sorted(self._files.items()))

    def times(self) -> dict[str, int]:
        """How often each is there, by name."""
        return dict(sorted(self._times.items()))

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._files)

    def _tell(self, file: str) -> None:
        """There are too many, which is said once."""
        if self._told:
            return
        self._told = True
        reason = f"From here on there are more than {MOST_CLASSES:,} different {self._what}. {self._advice}"
        self._sink.error("too_many_classes", file, reason)
