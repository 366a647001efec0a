"""The tensors of the Open Inference Protocol v2 (KServe, "Predict Protocol - Version 2"), JSON form.

https://github.com/kserve/open-inference-protocol — an input is `{"name", "shape", "datatype", "data"}` with
`data` nested or flat in row-major order; elements of BYTES are JSON strings. Pure: no HTTP in here.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import Array

Values = Array | list[str]


class BadRequest(Exception):
    """The request isn't what the model declares; the message says what and why."""


@dataclass(frozen=True)
class Spec:
    """A tensor as the model's metadata declares it; -1 is any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def described(self) -> dict[str, Any]:
        """The tensor as JSON metadata."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@dataclass(frozen=True)
class Request:
    """A checked request: its id, the one input given, and the names of the outputs wanted (none: all)."""

    id: str | None
    name: str
    values: Values
    outputs: tuple[str, ...]


def parse(body: bytes, specs: Sequence[Spec], outputs: Sequence[Spec]) -> Request:
    """Check an inference request against the declared tensors, of which it gives one; raises `BadRequest`."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("the body is no JSON") from None
    if not isinstance(given, dict) or not isinstance(given.get("inputs"), list):
        raise BadRequest("the body must be a JSON object with a list 'inputs'")
    identity = given.get("id")
    if identity is not None and not isinstance(identity, str):
        raise BadRequest("'id' must be a string")
    if len(given["inputs"]) != 1:
        raise BadRequest(f"give exactly one input: {' or '.join(repr(spec.name) for spec in specs)}")
    name, values = _input(given["inputs"][0], specs)
    return Request(identity, name, values, _wanted(given.get("outputs"), outputs))


def _input(tensor: Any, specs: Sequence[Spec]) -> tuple[str, Values]:
    known = {spec.name: spec for spec in specs}
    if not isinstance(tensor, dict) or tensor.get("name") not in known:
        raise BadRequest(f"an input must be an object whose 'name' is one of {', '.join(known)}")
    spec = known[tensor["name"]]
    if tensor.get("datatype") != spec.datatype:
        raise BadRequest(f"input {spec.name!r} must be of datatype {spec.datatype}, not {tensor.get('datatype')!r}")
    shape = _shape(tensor.get("shape"), spec)
    if "data" not in tensor:
        raise BadRequest(f"input {spec.name!r} has no 'data' (the binary extension isn't spoken here)")
    if spec.datatype == "BYTES":
        return spec.name, _strings(tensor["data"], shape, spec.name)
    return spec.name, _numbers(tensor["data"], shape, spec.name)


def _shape(given: Any, spec: Spec) -> tuple[int, ...]:
    if not isinstance(given, list) or not all(type(size) is int and size > 0 for size in given):
        raise BadRequest(f"the shape of input {spec.name!r} must be a list of positive whole numbers")
    fits = len(given) == len(spec.shape) and all(
        wanted in (-1, size) for wanted, size in zip(spec.shape, given, strict=True)
    )
    if not fits:
        raise BadRequest(f"input {spec.name!r} must have the shape {list(spec.shape)} (-1: any), not {given}")
    return tuple(given)


def _strings(data: Any, shape: tuple[int, ...], name: str) -> list[str]:
    if not isinstance(data, list) or not all(isinstance(element, str) for element in data):
        raise BadRequest(f"the data of input {name!r} must be a list of strings")
    _count(len(data), shape, name)
    return data


def _numbers(data: Any, shape: tuple[int, ...], name: str) -> Array:
    try:
        array = np.array(data)
    except ValueError:
        raise BadRequest(f"the data of input {name!r} is ragged: its rows differ in length") from None
    if not isinstance(data, list) or array.dtype.kind not in "iuf":
        raise BadRequest(f"the data of input {name!r} must be a list of numbers")
    if array.ndim > 1 and array.shape != shape:
        raise BadRequest(f"the data of input {name!r} has the shape {list(array.shape)}, not {list(shape)}")
    _count(array.size, shape, name)
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise BadRequest(f"the data of input {name!r} holds a number that is not finite in 32 bits")
    return array.reshape(shape)


def _count(elements: int, shape: tuple[int, ...], name: str) -> None:
    if elements != math.prod(shape):
        raise BadRequest(
            f"input {name!r} has {elements} elements, but its shape {list(shape)} needs {math.prod(shape)}"
        )


def _wanted(given: Any, outputs: Sequence[Spec]) -> tuple[str, ...]:
    known = [spec.name for spec in outputs]
    if given is None or given == []:
        return ()
    if not isinstance(given, list) or not all(isinstance(o, dict) and o.get("name") in known for o in given):
        raise BadRequest(f"'outputs' must be a list of objects whose 'name' is one of {', '.join(known)}")
    return tuple(output["name"] for output in given)


def answer(request: Request, model: Mapping[str, str], tensors: Mapping[Spec, Array | list[str]]) -> dict[str, Any]:
    """The response with the wanted outputs; `model` holds `model_name` and `model_version`."""
    outputs = [
        {**spec.described(), "shape": _shape_of(values), "data": _flat(values)}
        for spec, values in tensors.items()
        if not request.outputs or spec.name in request.outputs
    ]
    identity = {} if request.id is None else {"id": request.id}
    return {**model, **identity, "outputs": outputs}


def _shape_of(values: Array | list[str]) -> list[int]:
    return [len(values)] if isinstance(values, list) else list(values.shape)


def _flat(values: Array | list[str]) -> list[Any]:
    return values if isinstance(values, list) else values.ravel().tolist()
