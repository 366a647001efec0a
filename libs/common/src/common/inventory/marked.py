"""Reading a YAML or JSON document that people write, so that every fault is told with its line and its field."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import yaml

from common.kernel.errors import Fault, Invalid
from common.kernel.quantities import parse_bytes

T = TypeVar("T")

_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True)
class Marked:
    """A value in the document. `where` is its field, such as `clusters.hall-a.nodes[2].cpu`."""

    node: yaml.Node
    where: str

    @property
    def line(self) -> int:
        """Its line, from 1."""
        return int(self.node.start_mark.line) + 1


def compose(text: str) -> Marked:
    """The document. Raises Invalid (`bad_document`) with the line where it is neither YAML nor JSON."""
    if text.lstrip().startswith("{"):
        text = text.replace("\t", " ")  # YAML forbids what indents some JSON; within strings JSON has none either
    try:
        found = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "the file"
        reason = f"It is neither YAML nor JSON: {getattr(error, 'problem', None) or error}."
        raise Invalid("bad_document", f"{where}: {reason}", faults=[Fault(where, reason)]) from error
    except (ValueError, RecursionError) as error:
        raise Invalid("bad_document", f"It can't be read: {error}", faults=[Fault("the file", str(error))]) from error
    if found is None:
        raise Invalid("bad_document", "It is empty.", faults=[Fault("line 1", "The file is empty.")])
    return Marked(found, "")


@dataclass
class Reader:
    """Reads values of a document, and collects every fault on the way: what is wrong reads as its default."""

    faults: list[Fault] = field(default_factory=list)

    def fault(self, at: Marked, reason: str) -> None:
        """Something is wrong there."""
        where = f"line {at.line}"
        self.faults.append(Fault(f"{where}: {at.where}" if at.where else where, reason))

    def mapping(self, at: Marked, known: tuple[str, ...] = ()) -> dict[str, Marked]:
        """The fields of a mapping; with `known` any other is a fault."""
        if not isinstance(at.node, yaml.MappingNode):
            self.fault(at, f"Fields are expected here{': ' if known else ''}{', '.join(known)}.")
            return {}
        yaml.constructor.SafeConstructor().flatten_mapping(at.node)  # `<<: *other`
        found: dict[str, Marked] = {}
        for key, value in at.node.value:
            name = str(key.value)
            here = Marked(value, f"{at.where}.{name}" if at.where else name)
            if known and name not in known:
                self.fault(Marked(key, here.where), f"There is no such field; there are {', '.join(known)}.")
            else:
                found[name] = here
        return found

    def items(self, at: Marked | None) -> Iterator[Marked]:
        """The values of a list; none where there is no list."""
        if at is None:
            return
        if not isinstance(at.node, yaml.SequenceNode):
            self.fault(at, "A list is expected here.")
            return
        yield from (Marked(one, f"{at.where}[{number}]") for number, one in enumerate(at.node.value))

    def text(self, at: Marked | None, default: str = "") -> str:
        """A word or a line."""
        if at is None:
            return default
        if not isinstance(at.node, yaml.ScalarNode):
            self.fault(at, "A single value is expected here.")
            return default
        return str(at.node.value)

    def truth(self, at: Marked | None, default: bool = False) -> bool:
        """`true` or `false`."""
        return default if at is None else self._read(at, lambda text: _TRUTH[text.lower()], "true or false", default)

    def number(self, at: Marked | None, least: float, default: float) -> float:
        """A finite number of at least so much (0: above it)."""

        def read(text: str) -> float:
            value = float(text)
            if not math.isfinite(value) or value < least or value <= 0:
                raise ValueError(text)
            return value

        return default if at is None else self._read(at, read, f"a number {_from(least)}", default)

    def count(self, at: Marked | None, most: int, default: int) -> int:
        """A whole number from 1."""

        def read(text: str) -> int:
            value = int(text)
            if not 1 <= value <= most:
                raise ValueError(text)
            return value

        return default if at is None else self._read(at, read, f"a whole number from 1 to {most}", default)

    def amount(self, at: Marked | None, default: int = 0) -> int:
        """An amount of memory, in bytes."""
        return default if at is None else self._read(at, parse_bytes, "an amount of memory such as 512Gi", default)

    def _read(self, at: Marked, read: Callable[[str], T], expected: str, default: T) -> T:
        text = self.text(at, "\0")
        if text == "\0":
            return default
        try:
            return read(text)
        except (ValueError, KeyError):
            self.fault(at, f"{text[:40]!r} is not {expected}.")
            return default


def _from(least: float) -> str:
    return f"from {least:g}" if least else "above 0"
