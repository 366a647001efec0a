"""The little array arithmetic that training, evaluation and inference share."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def softmax(scores: Array) -> Array:
    """Rows of scores (log-likelihoods up to a constant) as rows of probabilities that sum to 1."""
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def logistic(scores: Array) -> Array:
    """1 / (1 + e^-x), without overflow for scores far from 0."""
    decay = np.exp(-np.abs(scores))
    return np.where(scores >= 0, 1 / (1 + decay), decay / (1 + decay))
