"""The image classifier as it is used: saved weights and plain array arithmetic, without scikit-learn.

So a replica starts in a fraction of a second and stays small. A test holds its numbers equal to those of
the `MLPClassifier` which learned them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import model
from .arrays import Array, logistic, softmax
from .process import Refused

ALGORITHM = "image-classifier"
DARKEST_SPREAD = 0.1


@dataclass(frozen=True)
class Normalisation:
    """Per pixel: the mean of the training images and their spread, both of the range 0 to 1."""

    mean: Array
    spread: Array

    def __call__(self, pixels: Array) -> Array:
        """Images of 0 to 255, any shape beginning with their number, as rows centred at 0."""
        rows = pixels.reshape(len(pixels), -1).astype(np.float32) / np.float32(255)
        return np.asarray((rows - self.mean) / self.spread)

    @staticmethod
    def of(pixels: Array) -> "Normalisation":
        """Measured on training images; pixels that hardly ever change keep a spread that can't blow up noise."""
        rows = pixels.reshape(len(pixels), -1)
        mean, spread = rows.mean(axis=0) / 255, rows.std(axis=0) / 255
        return Normalisation(mean.astype(np.float32), np.maximum(spread, DARKEST_SPREAD).astype(np.float32))


@dataclass(frozen=True)
class Perceptron:
    """A trained network: rectified hidden layers, then one output for two classes or one a class."""

    classes: list[str]
    size: int
    color: str
    normalise: Normalisation
    coefficients: list[Array]
    intercepts: list[Array]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return (self.size, self.size, 3) if self.color == "rgb" else (self.size, self.size)

    def probabilities(self, pixels: Array) -> Array:
        """One row of class probabilities an image; pixels go from 0 to 255."""
        values = self.normalise(pixels)
        for weights, bias in zip(self.coefficients[:-1], self.intercepts[:-1], strict=True):
            values = np.maximum(values @ weights + bias, 0)
        scores = values @ self.coefficients[-1] + self.intercepts[-1]
        if scores.shape[1] > 1:
            return softmax(scores)
        second = logistic(scores[:, 0])
        return np.stack([1 - second, second], axis=1)

    def save(self, folder: Path) -> None:
        """Write `model.json` and `weights.npz`."""
        weights = {"mean": self.normalise.mean, "spread": self.normalise.spread}
        weights |= {f"coefficients_{layer}": array for layer, array in enumerate(self.coefficients)}
        weights |= {f"intercepts_{layer}": array for layer, array in enumerate(self.intercepts)}
        facts = {
            "classes": self.classes,
            "size": self.size,
            "color": self.color,
            "layers": len(self.coefficients),
        }
        model.save(folder, ALGORITHM, facts, weights)

    @staticmethod
    def load(folder: Path) -> "Perceptron":
        """Read a saved model; raises `Refused`."""
        facts, weights = model.load(folder, ALGORITHM)
        try:
            layers = range(facts["layers"])
            return Perceptron(
                facts["classes"],
                facts["size"],
                facts["color"],
                Normalisation(weights["mean"], weights["spread"]),
                [weights[f"coefficients_{layer}"] for layer in layers],
                [weights[f"intercepts_{layer}"] for layer in layers],
            )
        except (KeyError, TypeError) as reason:
            raise Refused(f"the model in {folder} lacks {reason}") from None
