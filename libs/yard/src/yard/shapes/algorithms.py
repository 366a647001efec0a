"""Algorithms, and the engines that run them."""

from __future__ import annotations

from typing import Any, TypedDict

from yard.shapes.common import Resource


class Algorithm(Resource, total=False):
    """An algorithm: a training part and an inference part, with the parameters each takes."""

    online: bool
    purpose: str
    formats: list[str]
    training: dict[str, Any] | None
    inference: dict[str, Any] | None
    training_code: dict[str, Any] | None
    inference_code: dict[str, Any] | None


class Engine(TypedDict, total=False):
    """A framework and version that runs code bringing no image: absent, building, ready or failed."""

    name: str
    framework: str
    version: str
    state: str
    progress: float
    detail: str
    digest: str
