"""How good a classifier is: the numbers of `evaluation.json`, in plain array arithmetic."""

from pathlib import Path
from typing import Any

import numpy as np

from . import atomic
from .arrays import Array

FILE = "evaluation.json"


def accuracy(probabilities: Array, labels: Array) -> float:
    """Share of rows whose most likely class is the true one, 0 to 1."""
    return float(np.mean(probabilities.argmax(axis=1) == labels))


def log_loss(probabilities: Array, labels: Array) -> float:
    """Mean negative natural logarithm of the probability given to the true class; 0 is perfect, at most 36."""
    given = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return max(0.0, float(-np.mean(np.log(np.clip(given, np.finfo(np.float64).eps, 1.0)))))


def confusion(probabilities: Array, labels: Array, classes: int) -> Array:
    """Counts: row = true class, column = predicted class."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels, probabilities.argmax(axis=1)), 1)
    return counts


def evaluate(probabilities: Array, labels: Array, classes: list[str], on: str) -> dict[str, Any]:
    """The evaluation as it is published; `on` says which part was looked at: `test`, `val` or `train`."""
    counts = confusion(probabilities, labels, len(classes))
    return {
        "accuracy": accuracy(probabilities, labels),
        "loss": log_loss(probabilities, labels),
        "classes": classes,
        "per_class": {name: _per_class(counts, number) for number, name in enumerate(classes)},
        "confusion_matrix": counts.tolist(),
        "evaluated_on": on,
        "samples": len(labels),
    }


def _per_class(counts: Array, number: int) -> dict[str, float | int]:
    """Precision, recall and F1 of one class against the rest; 0 where there is nothing to divide by."""
    hits, predicted, support = counts[number, number], counts[:, number].sum(), counts[number].sum()
    precision = float(hits / predicted) if predicted else 0.0
    recall = float(hits / support) if support else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return {"precision": precision, "recall": recall, "f1": f1, "support": int(support)}


def write(folder: Path, result: dict[str, Any]) -> None:
    """Publish the evaluation in the results folder."""
    atomic.write_json(folder / FILE, result)
