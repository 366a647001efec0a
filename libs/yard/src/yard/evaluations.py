"""An evaluation as text: per class, with the confusion matrix beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

WIDEST = 16
"""Classes up to which the matrix is shown; a wider one is no help on a screen."""
_NONE = "·"


def evaluation_text(evaluation: Mapping[str, Any], *, plain: bool = False) -> str:
    """Accuracy, then precision, recall and F1 a class; `plain` keeps to ASCII."""
    classes = [str(name) for name in evaluation.get("classes", ())]
    rows = _per_class(classes, evaluation.get("per_class") or {})
    matrix = evaluation.get("confusion_matrix") or []
    if matrix and len(classes) <= WIDEST:
        between = " | " if plain else " │ "
        rows = [f"{row}{between}{line}" for row, line in zip(rows, _matrix(classes, matrix, plain), strict=True)]
    return "\n".join([headline(evaluation), *(row.rstrip() for row in rows)])


def headline(evaluation: Mapping[str, Any]) -> str:
    """Accuracy and on what it was measured."""
    told = [f"accuracy {evaluation['accuracy']:.4f}"] if "accuracy" in evaluation else []
    if "loss" in evaluation:
        told.append(f"loss {evaluation['loss']:.4f}")
    if "samples" in evaluation:
        part = {"test": "held-out ", "val": "held-out "}.get(str(evaluation.get("evaluated_on")), "")
        told.append(f"on {evaluation['samples']} {part}samples")
    return " ".join(told)


def _per_class(classes: Sequence[str], measured: Mapping[str, Mapping[str, float]]) -> list[str]:
    width = max([5, *map(len, classes)])
    lines = [f"{'class':<{width}}  precision  recall     f1  samples"]
    for name in classes:
        one = measured.get(name, {})
        shares = [f"{one.get(key, 0.0):.3f}" for key in ("precision", "recall", "f1")]
        lines.append(f"{name:<{width}}  {shares[0]:>9}  {shares[1]:>6}  {shares[2]}  {one.get('support', 0):>7}")
    return lines


def _matrix(classes: Sequence[str], matrix: Sequence[Sequence[int]], plain: bool) -> list[str]:
    width = max(len(str(count)) for row in matrix for count in row)
    width = max([width, *(len(name) for name in classes)]) if max(map(len, classes)) <= 5 else max(width, 3)
    none = "." if plain else _NONE
    heads = [name[:width] for name in classes]
    lines = [" ".join(f"{head:>{width}}" for head in heads) + "  predicted"]
    lines += [" ".join(f"{count or none:>{width}}" for count in row) for row in matrix]
    return lines
