"""Shapes that more than one contract uses."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from common.kernel.accelerators import accelerator_name

AcceleratorName = Annotated[str, AfterValidator(accelerator_name)]
"""A kind of accelerator: `gpu`, `npu` or any other that is configured; the vendors' names of these two become short."""


class Shape(BaseModel):
    """A frozen value on the wire; unknown fields of later versions are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Visibility(StrEnum):
    """Who may see and use a thing (seed 002 §2.1.7). Only an administrator sets `preset`."""

    PRIVATE = "private"
    PUBLIC = "public"
    PRESET = "preset"


class ManifestRef(Shape):
    """An immutable list of files by address. `digest` is that of the content, whatever archive it came from."""

    address: str
    digest: str
    files: int = Field(ge=0)
    bytes: int = Field(ge=0)


class Resources(Shape):
    """What one member of a workload asks for. `cpu` in cores, `memory` in bytes; 0 means no demand stated.

    Only nodes that have every one of the labels in `selectors`, and are of `cluster` where one is named, will do.
    """

    cpu: float = Field(default=1.0, ge=0)
    memory: int = Field(default=0, ge=0)
    accelerator: AcceleratorName | None = None
    model: str | None = None
    count: int = Field(default=0, ge=0)
    nodes: int = Field(default=1, ge=1)
    selectors: dict[str, str] = Field(default_factory=dict)
    cluster: str | None = None


class Placement(Shape):
    """Where one gang member runs: the node and exactly which devices."""

    node: str
    devices: tuple[str, ...] = ()


class Parameter(Shape):
    """A parameter that an algorithm declares. `default` None means that a job must give it."""

    name: str
    type: Literal["integer", "number", "string", "boolean"] = "string"
    default: Any = None
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] | None = None
    description: str = ""


class InterfaceInput(Shape):
    """One input of an inference interface, with the value that the online test sends (seed 002 §2.2.1)."""

    name: str
    type: str = "String"
    required: bool = True
    test_value: str | None = None
    description: str = ""


class Interface(Shape):
    """How an inference service is called: HTTP method, path and parameter style (params, json, form, file)."""

    name: str
    method: Literal["GET", "POST", "PUT"] = "POST"
    path: str = ""
    style: Literal["params", "json", "form", "file"] = "json"
    inputs: tuple[InterfaceInput, ...] = ()


class EngineRef(Shape):
    """A framework and version that runs code bringing no image of its own: a built Python environment."""

    name: str
    framework: str = ""
    version: str = ""
    requirements: tuple[str, ...] = ()


class CodePart(Shape):
    """Code with the way to run it: a training part or an inference part of an algorithm (seed 002 §2.2.1)."""

    engine: EngineRef | None = None
    image: str | None = None
    code: ManifestRef | None = None
    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = Field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    devices: tuple[AcceleratorName, ...] = ("cpu",)
    resources: Resources = Resources()


class InferencePart(CodePart):
    """An inference part: code that serves a declared interface."""

    interface: Interface | None = None


class TrainingPart(CodePart):
    """A training part; `transfer` says whether it can start from an earlier model."""

    transfer: bool = False
