"""What `yard job run` trains and validates on: datasets, or formatted sets of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from yard.errors import YardError
from yard.progress import progress

if TYPE_CHECKING:
    from yard.client import Client

RATIO = 0.8
COMPLEMENT = "complement"

Dataset = Annotated[str | None, typer.Argument(help="The dataset's name or id; none with --set.", show_default=False)]
Set = Annotated[str | None, typer.Option("--set", help="Train on this formatted set.", show_default=False)]
Validation = Annotated[str | None, typer.Option("--validation", help="Validate on this dataset.", show_default=False)]
ValidationVersion = Annotated[
    int | None, typer.Option("--validation-version", help="An earlier version of that.", show_default=False)
]
ValidationPart = Annotated[
    Literal["train", "test"], typer.Option("--validation-part", help="test: its independent test set.")
]
ValidationSet = Annotated[
    str | None,
    typer.Option("--validation-set", help=f"Validate on this set, or on the {COMPLEMENT}.", show_default=False),
]
Ratio = Annotated[
    float | None,
    typer.Option("--ratio", help="Share to train on; 1.0 - ratio is held out.", show_default=str(RATIO)),
]
NoSplit = Annotated[bool, typer.Option("--no-split", help="Use the dataset's own test set.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the split.")]


@dataclass(frozen=True)
class Materials:
    """What somebody typed of it."""

    dataset: str | None
    set: str | None
    validation: str | None
    version: int | None
    part: str
    validation_set: str | None
    ratio: float | None
    no_split: bool

    def checked(self) -> Materials:
        """Itself. Raises YardError (`bad_option`) where it names none, or two."""
        if (self.dataset is None) == (self.set is None):
            raise YardError("bad_option", "Name what to train on: a dataset, or a formatted set with --set.")
        if self.validation is not None and self.validation_set is not None:
            raise YardError("bad_option", "Name one to validate on: --validation or --validation-set.")
        if self.validation is None and (self.version is not None or self.part != "train"):
            raise YardError("bad_option", "--validation-version and --validation-part go with --validation DATASET.")
        if self.validation_set == COMPLEMENT and self.set is None:
            raise YardError("bad_option", f"--validation-set {COMPLEMENT} goes with --set: it is the rest of that set.")
        return self


def materials_of(yard: Client, typed: Materials) -> tuple[str, dict[str, Any]]:
    """What it trains on is called, and all of it as `Jobs.create` takes it. The complement is made, and waited for,
    where it is not there yet. Raises YardError."""
    typed = typed.checked()
    validation = _validation(yard, typed)
    named: dict[str, Any] = {"validation": validation}
    if typed.set is not None:
        seen = yard.sets.show(yard.sets.id_of(typed.set))
        share = None if typed.no_split else typed.ratio if typed.ratio is not None else "usual"
        return str(seen["name"]), {**named, "formatted_set_id": seen["id"], "ratio": share}
    data = yard.datasets.show(yard.datasets.id_of(typed.dataset or ""))
    share = _ratio(typed.ratio, typed.no_split or validation is not None, data.get("test_mode"))
    return str(data["name"]), {
        **named,
        "dataset_id": data["id"],
        "dataset_after": data.get("version"),
        "ratio": share,
    }


def _ratio(given: float | None, whole: bool, test_mode: str | None) -> float | None:
    """The share to train on, as given; else none where there is something else to validate on."""
    if given is not None:
        return given
    return None if whole or test_mode == "independent" else RATIO


def _validation(yard: Client, typed: Materials) -> dict[str, Any] | None:
    if typed.validation is not None:
        asked = {"dataset_id": yard.datasets.id_of(typed.validation), "part": typed.part}
        return asked if typed.version is None else {**asked, "version": typed.version}
    if typed.validation_set is None:
        return None
    if typed.validation_set == COMPLEMENT:
        return {"formatted_set_id": _complement(yard, yard.sets.id_of(typed.set or ""))}
    return {"formatted_set_id": yard.sets.id_of(typed.validation_set)}


def _complement(yard: Client, set_id: str) -> str:
    """The rest of a set, once it is there."""
    offered = yard.sets.show(set_id).get("complement")
    if offered is None:
        raise YardError("no_complement", f"{set_id} has all files of its version: there is no rest.")
    rest = str(offered.get("id") or yard.sets.complement(set_id)["id"])
    with progress("Building the complement") as advance:
        yard.sets.wait(rest, progress=lambda seen: advance(seen.get("progress", 0), 1, ""))
    return rest
