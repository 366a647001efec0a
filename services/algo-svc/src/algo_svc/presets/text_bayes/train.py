"""Trains naive Bayes on a text dataset in the `dir` format (one folder a class, one file a text), in mini-batches."""

import math
import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from yardkit import data, evaluation, model, parameters, text, workplace
from yardkit.arrays import Array
from yardkit.bayes import Bayes
from yardkit.checkpoint import Checkpoint, Checkpoints, fingerprint
from yardkit.metrics import Curve
from yardkit.process import Refused, Stop, Stopped, run, say

MOST_POINTS = 100
SAMPLES_A_JUDGEMENT = 2000


@dataclass(frozen=True)
class Settings:
    """The declared parameters; `algorithm.json` says what each means."""

    epochs: int
    batch_size: int
    ngram_min: int
    ngram_max: int
    max_features: int
    alpha: float
    seed: int
    device: str


@dataclass(frozen=True)
class Samples:
    """One part of the dataset: a sparse matrix of counts (row: text, column: n-gram), numbers of classes."""

    name: str
    counts: Any
    labels: Array


class Learner:
    """A scikit-learn `MultinomialNB`, whose whole state is two arrays of counts."""

    def __init__(self, blank: Bayes) -> None:
        from sklearn.naive_bayes import MultinomialNB

        self._blank = blank
        self._numbers = np.arange(len(blank.classes))
        self._counter: Any = MultinomialNB(alpha=blank.alpha)

    def learn(self, counts: Any, labels: Array) -> None:
        """Count these texts."""
        self._counter.partial_fit(counts, labels, classes=self._numbers)

    def probabilities(self, counts: Any) -> Array:
        """One row of class probabilities a text."""
        return np.asarray(self._counter.predict_proba(counts))

    def state(self) -> dict[str, Array]:
        """Everything learned, as arrays by name."""
        return {"class_count": self._counter.class_count_, "feature_count": self._counter.feature_count_}

    def restore(self, state: dict[str, Array], row: Any) -> None:
        """Put back what `state` gave; `row` is any row of counts."""
        self.learn(row * 0, self._numbers[:1])
        self._counter.class_count_ = state["class_count"]
        self._counter.feature_count_ = state["feature_count"]
        self._counter._update_feature_log_prob(self._blank.alpha)
        self._counter._update_class_log_prior(class_prior=None)

    def result(self) -> Bayes:
        """The model to publish."""
        counts = self._counter
        return replace(self._blank, class_count=counts.class_count_, feature_count=counts.feature_count_)


class Training:
    """One run: where it is, what it has learned, and what it tells on the way."""

    def __init__(self, settings: Settings, place: workplace.Workplace, dataset: data.Dataset[str]) -> None:
        self.settings = settings
        base = _base(place.pretrained, dataset.classes, settings.alpha)
        blank = base or _blank(settings, dataset)
        self.train, self.judged = _samples(dataset.train, blank), _samples(dataset.judged, blank)
        self.learner = Learner(blank)
        self._curve = Curve(place.metrics)
        run_of = fingerprint(
            settings=asdict(settings),
            classes=dataset.classes,
            files=dataset.train.names,
            base=model.digest(place.pretrained),
        )
        self._checkpoints = Checkpoints(place.checkpoints, run_of)
        self.step = 0
        self._order: Array | None = None
        self._start(self._checkpoints.load(), base)

    @property
    def steps_an_epoch(self) -> int:
        """Mini-batches in one pass over the training part."""
        return math.ceil(len(self.train.labels) / self.settings.batch_size)

    @property
    def steps(self) -> int:
        """Mini-batches of the whole run."""
        return self.settings.epochs * self.steps_an_epoch

    def _start(self, checkpoint: Checkpoint | None, base: Bayes | None) -> None:
        if checkpoint is not None:
            self.learner.restore(checkpoint.arrays, self.train.counts[:1])
            self.step = checkpoint.state["step"]
            say(f"resuming from the checkpoint after {self.step} of {self.steps} steps")
        elif base is not None:
            learned = {"class_count": base.class_count, "feature_count": base.feature_count}
            self.learner.restore(learned, self.train.counts[:1])
            say("starting from the counts of the pretrained model")

    def run(self, stop: Stop) -> None:
        """Train to the last step; raises `Stopped` after a checkpoint when asked to stop."""
        between = math.ceil(self.steps / MOST_POINTS)
        while self.step < self.steps:
            if stop.requested:
                self._stop()
            chosen = self._batch()
            self.learner.learn(self.train.counts[chosen], self.train.labels[chosen])
            self.step += 1
            last = self.step == self.steps
            if last or self.step % between == 0:
                self._report()
            self._checkpoints.save({"step": self.step}, self.learner.state(), now=last)

    def _stop(self) -> None:
        """End, keeping what was learned; before the first step there is nothing to keep."""
        if self.step:
            self._checkpoints.save({"step": self.step}, self.learner.state(), now=True)
        raise Stopped(f"checkpoint written after {self.step} of {self.steps} steps")

    def _batch(self) -> Array:
        """Rows of the next mini-batch: seed and epoch alone decide their order."""
        epoch, number = divmod(self.step, self.steps_an_epoch)
        if self._order is None or number == 0:
            random = np.random.default_rng([self.settings.seed, epoch])
            self._order = random.permutation(len(self.train.labels))
        first = number * self.settings.batch_size
        return self._order[first : first + self.settings.batch_size]

    def _report(self) -> None:
        some = slice(0, None, max(1, len(self.judged.labels) // SAMPLES_A_JUDGEMENT))
        probabilities = self.learner.probabilities(self.judged.counts[some])
        accuracy = evaluation.accuracy(probabilities, self.judged.labels[some])
        loss = evaluation.log_loss(probabilities, self.judged.labels[some])
        self._curve.point(self.step, accuracy=accuracy, loss=loss)
        say(f"step {self.step}/{self.steps} accuracy={accuracy:.4f} loss={loss:.4f} ({self.judged.name})")


def _base(folder: Path | None, classes: list[str], alpha: float) -> Bayes | None:
    """The model to go on counting from, if one is given; `Refused` where it knows other classes."""
    if folder is None or not model.present(folder):
        return None
    base = Bayes.load(folder)
    if base.classes != classes:
        raise Refused(
            f"the pretrained model knows the classes {', '.join(base.classes)}, and the dataset has "
            f"{', '.join(classes)}: counts only go on for the same classes; train without it"
        )
    return replace(base, alpha=alpha)


def _blank(settings: Settings, dataset: data.Dataset[str]) -> Bayes:
    """A model that has counted nothing yet, with the n-grams of the training part."""
    if settings.ngram_min > settings.ngram_max:
        raise Refused(f"ngram_min ({settings.ngram_min}) is larger than ngram_max ({settings.ngram_max})")
    documents = (text.ngrams(item, settings.ngram_min, settings.ngram_max) for item in dataset.train.items)
    words = text.vocabulary(documents, settings.max_features)
    if not words:
        raise Refused(
            f"no text of the training part is {settings.ngram_min} characters long: choose a smaller ngram_min"
        )
    say(f"vocabulary: {len(words)} n-grams of {settings.ngram_min} to {settings.ngram_max} characters")
    nothing = np.zeros(len(dataset.classes)), np.zeros((len(dataset.classes), len(words)))
    return Bayes(dataset.classes, words, settings.ngram_min, settings.ngram_max, settings.alpha, *nothing)


def _samples(part: data.Part[str], bayes: Bayes) -> Samples:
    from scipy.sparse import csr_matrix

    rows = [bayes.count(item) for item in part.items]
    starts = np.concatenate([[0], np.cumsum([len(columns) for columns, _ in rows])])
    columns, times = (np.concatenate(arrays) for arrays in zip(*rows, strict=True))
    counts = csr_matrix((times, columns, starts), shape=(len(rows), len(bayes.vocabulary)))
    return Samples(part.name, counts, part.labels)


def main(stop: Stop) -> None:
    """Read, train, evaluate, publish."""
    settings = Settings(**parameters.read(Path(__file__).with_name("algorithm.json"), sys.argv[1:], os.environ))
    place = workplace.from_environment(os.environ)
    training = Training(settings, place, data.load(place.data, text.read_text, "text"))
    with stop.deferred():
        training.run(stop)
    bayes, judged = training.learner.result(), training.judged
    bayes.save(place.results)
    probabilities = training.learner.probabilities(judged.counts)
    result = evaluation.evaluate(probabilities, judged.labels, bayes.classes, judged.name)
    evaluation.write(place.results, result)
    say(f"done: accuracy {result['accuracy']:.4f} on {result['samples']} samples ({judged.name})")


if __name__ == "__main__":
    run(main)
