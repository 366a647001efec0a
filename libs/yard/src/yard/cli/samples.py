"""`yard dataset samples`, `details` and `thumbnail`: looking into a version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from yard import forms
from yard.cli.options import Limit, Out, Ref
from yard.cli.output import Column, Output, put_done, put_list, put_one
from yard.cli.session import connected

_BAR = 30
"""Characters of a histogram's longest bar."""
_SHOWN = 10
"""Pairs and relations that are shown."""


def _spread(value: Any) -> str:
    """A figure's spread: in one line, and a bar for each bucket."""
    if not isinstance(value, Mapping):
        return ""
    middle = f", median {value['median']}" if value.get("median") is not None else ""
    first = f"{value['min']} to {value['max']}{middle}, mean {forms.plain(value['mean'])}"
    buckets = value.get("histogram") or []
    most = max((bucket["count"] for bucket in buckets), default=0)
    if len(buckets) < 2 or not most:
        return first
    ranges = [f"{bucket['from']}-{bucket['to']}" for bucket in buckets]
    width = max(map(len, ranges))
    bars = [
        f"{shown:>{width}} {'█' * round(_BAR * bucket['count'] / most)} {bucket['count']}"
        for shown, bucket in zip(ranges, buckets, strict=True)
    ]
    return "\n".join([first, *bars])


def _classes(value: Any) -> str:
    """A class a line."""
    lines = []
    for found in value or ():
        more = f", {found['objects']} objects" if found.get("objects") is not None else ""
        lines.append(f"{found['name']}: {found['files']}{more}")
    return "\n".join(lines)


def _sizes(value: Any) -> str:
    return ", ".join(f"{size['width']}×{size['height']} ({size['files']})" for size in value or ())


def _pairs(value: Any) -> str:
    return "\n".join(f"{' + '.join(pair['classes'])}: {pair['files']}" for pair in (value or ())[:_SHOWN])


def _related(value: Any) -> str:
    return "\n".join(f"{one['from']} {one['class']} {one['to']}: {one['count']}" for one in (value or ())[:_SHOWN])


SAMPLES = (
    Column("PATH", "path"),
    Column("CLASS", "class"),
    Column("SIZE", "size", forms.size),
    Column("SHA-256", "sha256"),
)
DETAILS = (
    Column("version", "version"),
    Column("part", "part"),
    Column("files", "files"),
    Column("size", "bytes", forms.size),
    Column("rows", "rows"),
    Column("classes", "classes", _classes),
    Column("not annotated", "unannotated"),
    Column("width", "images.width", _spread),
    Column("height", "images.height", _spread),
    Column("common sizes", "images.common", _sizes),
    Column("image kinds", "images.kinds", forms.pairs),
    Column("characters", "texts.length", _spread),
    Column("encodings", "texts.encodings", forms.pairs),
    Column("relations", "relations", forms.pairs),
    Column("events", "events", forms.pairs),
    Column("together", "together", _pairs),
    Column("related", "related", _related),
)

Version = Annotated[int | None, typer.Option("--version", help="An earlier version.", show_default=False)]
PartOf = Annotated[Literal["train", "test"] | None, typer.Option("--part", help="Which set.", show_default=False)]


def samples(
    dataset: Ref,
    class_: Annotated[str | None, typer.Option("--class", help="Only this class.", show_default=False)] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Only files with this in their name.", show_default=False)
    ] = None,
    version: Version = None,
    part: PartOf = None,
    limit: Limit = 20,
    output: Out = Output.TABLE,
) -> None:
    """Some of its files, by class and by a part of their name."""
    with connected() as yard:
        id = yard.datasets.id_of(dataset)
        found = yard.datasets.samples(id, class_=class_, q=name, limit=limit, version=version, part=part)
    put_list(found, SAMPLES, output, noun="sample")


def details(dataset: Ref, version: Version = None, part: PartOf = None, output: Out = Output.TABLE) -> None:
    """What is in a version, in figures: classes, sizes, lengths, what occurs together."""
    with connected() as yard:
        told = yard.datasets.details(yard.datasets.id_of(dataset), version, part=part)
    put_one(told, DETAILS, output)


def thumbnail(
    dataset: Ref,
    path: Annotated[str, typer.Argument(help="An image in the dataset.", show_default=False)],
    to: Annotated[Path, typer.Option("--to", help="Where to write the PNG.")] = Path("thumbnail.png"),
    size: Annotated[int, typer.Option(help="Pixels of the longer side.", min=16, max=1024)] = 128,
    draw: Annotated[bool, typer.Option("--draw", help="With boxes and outlines.")] = False,
    version: Version = None,
    part: PartOf = None,
    output: Out = Output.TABLE,
) -> None:
    """A small picture of an image, with what is annotated if wanted."""
    with connected() as yard:
        id = yard.datasets.id_of(dataset)
        to.write_bytes(yard.datasets.thumbnail(id, path, size=size, draw=draw, version=version, part=part))
    put_done(f"The thumbnail is in {to}.", output, {"path": path, "to": str(to)})
