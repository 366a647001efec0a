"""The text classifier as it is used: saved counts and plain array arithmetic, without scikit-learn.

A test holds its numbers equal to those of the `MultinomialNB` which counted.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from . import model
from .arrays import Array, softmax
from .process import Refused
from .text import ngrams

ALGORITHM = "text-bayes"


@dataclass(frozen=True)
class Bayes:
    """Multinomial naive Bayes: how often each n-gram (column) was seen in each class (row)."""

    classes: list[str]
    vocabulary: list[str]
    shortest: int
    longest: int
    alpha: float
    class_count: Array
    feature_count: Array

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {gram: number for number, gram in enumerate(self.vocabulary)}

    @cached_property
    def _log_prior(self) -> Array:
        return np.asarray(np.log(self.class_count) - np.log(self.class_count.sum()))

    @cached_property
    def _log_likelihood(self) -> Array:
        """One row an n-gram, one column a class: the rows that a text needs lie together in memory."""
        smoothed = self.feature_count + self.alpha
        return np.ascontiguousarray((np.log(smoothed) - np.log(smoothed.sum(axis=1, keepdims=True))).T)

    def count(self, text: str) -> tuple[Array, Array]:
        """Numbers of the known n-grams of a text, ascending, and how often each occurs."""
        found = ngrams(text, self.shortest, self.longest)
        known = sorted((self._numbers[gram], times) for gram, times in found.items() if gram in self._numbers)
        pairs = np.array(known, dtype=np.int64).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1].astype(np.float64)

    def probabilities(self, texts: list[str]) -> Array:
        """One row of class probabilities a text."""
        scores = np.empty((len(texts), len(self.classes)))
        for row, text in enumerate(texts):
            columns, times = self.count(text)
            scores[row] = times @ self._log_likelihood[columns] + self._log_prior
        return softmax(scores)

    def warm(self) -> "Bayes":
        """Compute the tables now, so that the first request isn't the slow one."""
        self.probabilities([""])
        return self

    def save(self, folder: Path) -> None:
        """Write `model.json` and `weights.npz`."""
        facts = {"classes": self.classes, "ngrams": [self.shortest, self.longest], "alpha": self.alpha}
        weights = {"class_count": self.class_count, "feature_count": self.feature_count}
        model.save(folder, ALGORITHM, {**facts, "vocabulary": self.vocabulary}, weights)

    @staticmethod
    def load(folder: Path) -> "Bayes":
        """Read a saved model; raises `Refused`."""
        facts, weights = model.load(folder, ALGORITHM)
        try:
            return Bayes(
                classes=facts["classes"],
                vocabulary=facts["vocabulary"],
                shortest=facts["ngrams"][0],
                longest=facts["ngrams"][1],
                alpha=facts["alpha"],
                class_count=weights["class_count"],
                feature_count=weights["feature_count"],
            )
        except (KeyError, TypeError) as reason:
            raise Refused(f"the model in {folder} lacks {reason}") from None
