"""The interface of an inference part: what goes together of method, style and inputs (row A3)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from common.contracts.interfaces import INPUT_TYPES, typed
from common.contracts.shared import Interface, InterfaceInput
from common.kernel.errors import Fault
from common.kernel.names import description_faults

MOST_INPUTS = 50
LONGEST_TEST_VALUE = 512 * 1024
"""Characters: a test image of some hundred KiB in base64."""

_NAME = re.compile(r"[\w.-]{1,64}")
_PATH = re.compile(r"(/[A-Za-z0-9._~:@!$&'()*+,;=-]+)+/?")
_INPUT = re.compile(r"\w[\w.\[\]-]{0,63}")
_TAKEN_PATHS = ("/health",)


def interface_faults(where: str, interface: Interface) -> Iterator[Fault]:
    """What is wrong with an interface."""
    if not _NAME.fullmatch(interface.name):
        yield Fault(f"{where}.name", "A name has up to 64 letters, digits, '.', '_' and '-'.")
    yield from _path_faults(f"{where}.path", interface.path)
    if interface.method == "GET" and interface.style != "params":
        yield Fault(f"{where}.style", f"A GET has no body: {interface.style} needs POST or PUT.")
    yield from _input_faults(where, interface)


def _path_faults(where: str, path: str) -> Iterator[Fault]:
    if not path:
        return
    if len(path) > 255 or not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        yield Fault(where, "A path starts with / and has no query, no '..' and no blanks.")
    elif path.rstrip("/") in _TAKEN_PATHS:
        yield Fault(where, f"{path} is where a replica says that it is ready.")


def _input_faults(where: str, interface: Interface) -> Iterator[Fault]:
    if len(interface.inputs) > MOST_INPUTS:
        yield Fault(f"{where}.inputs", f"At most {MOST_INPUTS} inputs.")
    files = [given for given in interface.inputs if given.type == "File"]
    if interface.style == "file" and not files:
        yield Fault(f"{where}.inputs", "The style file needs an input of the type File.")
    if interface.style != "file" and files:
        yield Fault(f"{where}.style", f"An input of the type File needs the style file, not {interface.style}.")
    seen: set[str] = set()
    for number, given in enumerate(interface.inputs):
        at = f"{where}.inputs.{number}"
        if given.name in seen:
            yield Fault(f"{at}.name", f"{given.name!r} is declared twice.")
        seen.add(given.name)
        yield from _one_input(at, given)


def _one_input(at: str, given: InterfaceInput) -> Iterator[Fault]:
    if not _INPUT.fullmatch(given.name):
        yield Fault(f"{at}.name", "A name has up to 64 letters, digits, '.', '_', '-' and brackets.")
    yield from description_faults(given.description, f"{at}.description")
    if given.type not in INPUT_TYPES:
        yield Fault(f"{at}.type", f"{given.type[:40]!r} is none of {', '.join(INPUT_TYPES)}.")
    elif given.test_value is not None:
        yield from _test_value_faults(f"{at}.test_value", given.type, given.test_value)


def _test_value_faults(where: str, kind: str, value: str) -> Iterator[Fault]:
    if len(value) > LONGEST_TEST_VALUE:
        yield Fault(where, f"A test value has at most {LONGEST_TEST_VALUE} characters.")
        return
    try:
        typed(kind, value)
    except ValueError as error:
        yield Fault(where, f"For the type {kind} {error}.")
