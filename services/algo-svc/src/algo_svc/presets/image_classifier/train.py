"""Trains a perceptron on an image dataset in the `dir` format, in mini-batches that can be resumed exactly."""

import math
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from yardkit import data, evaluation, images, model, parameters, workplace
from yardkit.arrays import Array
from yardkit.checkpoint import Checkpoint, Checkpoints, fingerprint
from yardkit.metrics import Curve
from yardkit.perceptron import Normalisation, Perceptron
from yardkit.process import Refused, Stop, Stopped, run, say

SAMPLES_A_CALL = 512
SAMPLES_A_JUDGEMENT = 4096


@dataclass(frozen=True)
class Settings:
    """The declared parameters; `algorithm.json` says what each means."""

    epochs: int
    batch_size: int
    img_size: int
    color: str
    hidden_units: int
    learning_rate: float
    alpha: float
    seed: int
    device: str


@dataclass(frozen=True)
class Samples:
    """One part of the dataset as arrays: bytes of pixels, numbers of classes."""

    name: str
    pixels: Array
    labels: Array


class Learner:
    """A scikit-learn `MLPClassifier` whose whole state (weights, moments of Adam) can be kept and put back."""

    def __init__(self, settings: Settings, classes: int, normalise: Normalisation) -> None:
        from sklearn.neural_network import MLPClassifier

        self.normalise = normalise
        self._numbers = np.arange(classes)
        self._batch_size = settings.batch_size
        self._network: Any = MLPClassifier(
            (settings.hidden_units,),
            solver="adam",
            alpha=settings.alpha,
            random_state=settings.seed,
            learning_rate_init=settings.learning_rate,
            shuffle=False,
        )

    def learn(self, pixels: Array, labels: Array, learning_rate: float) -> None:
        """Go once over these samples in their order, a mini-batch a step; raises `Refused` if it diverges."""
        network = self._network
        network.batch_size = min(self._batch_size, len(labels))
        if hasattr(network, "_optimizer"):
            network._optimizer.learning_rate_init = learning_rate
        try:
            network.partial_fit(self.normalise(pixels), labels, classes=self._numbers)
        except ValueError as reason:
            raise Refused(f"training diverged, choose a smaller learning_rate ({reason})") from None

    def probabilities(self, pixels: Array) -> Array:
        """One row of class probabilities an image."""
        parts = [pixels[at : at + SAMPLES_A_JUDGEMENT] for at in range(0, len(pixels), SAMPLES_A_JUDGEMENT)]
        return np.concatenate([self._network.predict_proba(self.normalise(part)) for part in parts])

    def state(self) -> dict[str, Array]:
        """Everything learned, as arrays by name."""
        optimizer = self._network._optimizer
        groups = {
            "weights": optimizer_parameters(self._network),
            "first": optimizer.ms,
            "second": optimizer.vs,
        }
        arrays = {f"{group}_{n}": array for group, held in groups.items() for n, array in enumerate(held)}
        return {**arrays, "updates": np.array(optimizer.t)}

    def restore(self, state: dict[str, Array], shape: tuple[int, ...]) -> None:
        """Put back what `state` gave."""
        self._begin(shape)
        optimizer = self._network._optimizer
        for number, held in enumerate(optimizer_parameters(self._network)):
            held[...] = state[f"weights_{number}"]
            optimizer.ms[number] = state[f"first_{number}"]
            optimizer.vs[number] = state[f"second_{number}"]
        optimizer.t = int(state["updates"])

    def adopt(self, base: Perceptron, all_layers: bool, shape: tuple[int, ...]) -> None:
        """Start from the layers of a trained network; the last one only makes sense for the same classes."""
        self._begin(shape)
        count = len(base.coefficients) - (0 if all_layers else 1)
        for layer in range(count):
            self._network.coefs_[layer][...] = base.coefficients[layer]
            self._network.intercepts_[layer][...] = base.intercepts[layer]

    def _begin(self, shape: tuple[int, ...]) -> None:
        """scikit-learn makes its arrays in the first call: give it one blank image, then forget its moments."""
        self.learn(np.zeros((1, *shape), dtype=np.uint8), self._numbers[:1], 0.0)
        optimizer = self._network._optimizer
        optimizer.t = 0
        for moment in (*optimizer.ms, *optimizer.vs):
            moment[...] = 0

    def result(self, classes: list[str], settings: Settings) -> Perceptron:
        """The model to publish."""
        return Perceptron(
            classes,
            settings.img_size,
            settings.color,
            self.normalise,
            self._network.coefs_,
            self._network.intercepts_,
        )


def optimizer_parameters(network: Any) -> list[Array]:
    """The arrays that the optimizer moves, in its order."""
    return [*network.coefs_, *network.intercepts_]


class Training:
    """One run: where it is, what it has learned, and what it tells on the way."""

    def __init__(self, settings: Settings, place: workplace.Workplace, dataset: data.Dataset[Array]) -> None:
        self.settings, self.classes = settings, dataset.classes
        self.train, self.judged = _samples(dataset.train), _samples(dataset.judged)
        base = _base(place.pretrained, settings)
        normalise = base.normalise if base else Normalisation.of(self.train.pixels)
        self.learner = Learner(settings, len(self.classes), normalise)
        self._curve = Curve(place.metrics)
        run_of = fingerprint(
            settings=asdict(settings),
            classes=self.classes,
            files=dataset.train.names,
            base=model.digest(place.pretrained),
        )
        self._checkpoints = Checkpoints(place.checkpoints, run_of)
        self.epoch, self.samples_done = 0, 0
        self._start(self._checkpoints.load(), base)

    def _start(self, checkpoint: Checkpoint | None, base: Perceptron | None) -> None:
        shape = self.train.pixels.shape[1:]
        if checkpoint is not None:
            self.learner.restore(checkpoint.arrays, shape)
            self.epoch, self.samples_done = checkpoint.state["epoch"], checkpoint.state["samples_done"]
            say(f"resuming from the checkpoint after {self.epoch} of {self.settings.epochs} epochs")
        elif base is not None:
            same = base.classes == self.classes
            self.learner.adopt(base, same, shape)
            say(f"starting from the pretrained model ({'all' if same else 'hidden'} layers)")

    def run(self, stop: Stop) -> None:
        """Train to the last epoch; raises `Stopped` after a checkpoint when asked to stop."""
        while self.epoch < self.settings.epochs:
            for chosen in self._chunks():
                if stop.requested:
                    self._stop()
                self.learner.learn(self.train.pixels[chosen], self.train.labels[chosen], self.learning_rate)
                self.samples_done += len(chosen)
            self.epoch, self.samples_done = self.epoch + 1, 0
            self._report()
            self._keep(now=self.epoch == self.settings.epochs)

    def _stop(self) -> None:
        """End, keeping what was learned; before the first step there is nothing to keep."""
        if self.epoch or self.samples_done:
            self._keep(now=True)
        raise Stopped(f"checkpoint written in epoch {self.epoch + 1} of {self.settings.epochs}")

    @property
    def learning_rate(self) -> float:
        """Falls along half a cosine from its first value towards 0 in the last epoch."""
        return self.settings.learning_rate * (1 + math.cos(math.pi * self.epoch / self.settings.epochs)) / 2

    def _chunks(self) -> Iterator[Array]:
        """What is left of this epoch's order, which seed and epoch alone decide; whole mini-batches a chunk."""
        random = np.random.default_rng([self.settings.seed, self.epoch])
        order = random.permutation(len(self.train.labels))
        length = max(1, SAMPLES_A_CALL // self.settings.batch_size) * self.settings.batch_size
        for at in range(self.samples_done, len(order), length):
            yield order[at : at + length]

    def _report(self) -> None:
        probabilities = self.learner.probabilities(self.judged.pixels)
        accuracy = evaluation.accuracy(probabilities, self.judged.labels)
        loss = evaluation.log_loss(probabilities, self.judged.labels)
        self._curve.point(self.epoch, accuracy=accuracy, loss=loss, learning_rate=self.learning_rate)
        say(f"epoch {self.epoch}/{self.settings.epochs} accuracy={accuracy:.4f} loss={loss:.4f} ({self.judged.name})")

    def _keep(self, now: bool) -> None:
        state = {"epoch": self.epoch, "samples_done": self.samples_done}
        self._checkpoints.save(state, self.learner.state(), now=now)


def _samples(part: data.Part[Array]) -> Samples:
    return Samples(part.name, np.stack(part.items), part.labels)


def _base(folder: Path | None, settings: Settings) -> Perceptron | None:
    """The model to start from, if one is given; `Refused` where its shape isn't that of the parameters."""
    if folder is None or not model.present(folder):
        return None
    base = Perceptron.load(folder)
    theirs = (base.size, base.color, [array.shape[1] for array in base.coefficients[:-1]])
    if theirs != (settings.img_size, settings.color, [settings.hidden_units]):
        raise Refused(
            f"the pretrained model has img_size={base.size}, color={base.color}, "
            f"hidden_units={base.coefficients[0].shape[1]}: set the same, or train without it"
        )
    return base


def main(stop: Stop) -> None:
    """Read, train, evaluate, publish."""
    settings = Settings(**parameters.read(Path(__file__).with_name("algorithm.json"), sys.argv[1:], os.environ))
    place = workplace.from_environment(os.environ)
    read = partial(images.read_image, size=settings.img_size, color=settings.color)
    training = Training(settings, place, data.load(place.data, read, "image"))
    with stop.deferred():
        training.run(stop)
    network = training.learner.result(training.classes, settings)
    judged = training.judged
    network.save(place.results)
    result = evaluation.evaluate(network.probabilities(judged.pixels), judged.labels, network.classes, judged.name)
    evaluation.write(place.results, result)
    say(f"done: accuracy {result['accuracy']:.4f} on {result['samples']} samples ({judged.name})")


if __name__ == "__main__":
    run(main)
