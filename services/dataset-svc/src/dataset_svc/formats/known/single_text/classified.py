"""One file of texts with classes: a table, or JSON lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from dataset_svc.formats.decoding import Lines, NotText
from dataset_svc.formats.known.single_text.one_file import OneFile
from dataset_svc.formats.known.single_text.tables import SUFFIXES, Sample, Tables
from dataset_svc.formats.labels import MOST_CLASSES, label_fault
from dataset_svc.formats.packing import packed
from dataset_svc.formats.passing import passing
from dataset_svc.formats.port import Annotations, ContentLimits, Sink, Summary
from dataset_svc.formats.ranges import Range
from dataset_svc.formats.samples import Samples


class ClassifiedChecker(OneFile):
    """Reads the one file's rows as they come; of each eight bytes are kept, which say where it begins and its class."""

    suffixes = SUFFIXES
    what = "CSV, TSV or JSON lines"

    def __init__(self, sink: Sink, limits: ContentLimits) -> None:
        super().__init__(sink)
        self._limits = limits
        self._classes: Counter[str] = Counter()
        self._samples = Samples()
        self._length = Range()
        self._rows = 0
        self._encoding = ""

    def rows(self, path: str, suffix: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """See OneFile."""
        lines, tables = Lines(), Tables(path, self._sink)
        yield from passing(chunks, path, self._sink, lines, tables.samples, lambda sample: self._take(path, sample))
        self._encoding = lines.encoding

    def finish(self) -> Summary:
        """See Checker. `classes` counts rows; `texts` has the lengths in characters."""
        if self.found() and len(self._classes) < self._limits.min_classes:
            found = ", ".join(sorted(self._classes)[:10]) or "none"
            reason = f"The rows have {len(self._classes)} classes ({found}); {self._limits.min_classes} are needed."
            self._sink.error("too_few_classes", self._files[0], reason)
        texts = {"length": self._length.as_json(), "encodings": {self._encoding: 1} if self._encoding else {}}
        return {"classes": dict(sorted(self._classes.items())), "rows": self._rows, "texts": texts}

    def annotations(self) -> Annotations:
        """See Checker: only how many rows there are. They are noted, so pages show them from the file itself."""
        if self._files:
            yield self._files[0], packed({"kind": "rows", "total": self._rows, "rows": []}), ()

    def samples(self) -> Mapping[str, Samples]:
        """See Checker."""
        return {self._files[0]: self._samples} if self._files else {}

    def _take(self, path: str, sample: Sample) -> None:
        """Check one sample. Raises NotText where there are too many classes for these to be classes."""
        line, text, label = sample.line, sample.text.strip(), sample.label.strip()
        self._rows += 1
        if not text:
            self._sink.error("empty_text", path, "This row has no text.", line)
        if fault := label_fault(label):
            return self._sink.error("bad_label", path, f"The class of this row {fault}.", line)
        self._classes[label] += 1
        self._samples.add(line, (label,))
        if len(self._classes) > MOST_CLASSES:
            reason = f"There are more than {MOST_CLASSES:,} different classes; text and class seem to be exchanged."
            raise NotText("too_many_classes", reason, line)
        return self._length.add(len(text))
