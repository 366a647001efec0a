"""The guide to configuration says what the code reads. `python -m tests.architecture.test_configuration` writes it."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic_settings import BaseSettings

import algo_svc.settings
import dataset_svc.settings
import gateway.settings
import notebook_svc.settings
import serving_svc.settings
import train_svc.settings
from common.hosting import Settings
from common.hosting.describe import as_table, variables
from embedded.settings import Settings as Embedded

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "configuration.md"
BLOCK = re.compile(r"(<!-- settings of ([a-z-]+) -->\n).*?(\n<!-- end -->)", re.DOTALL)

SETTINGS: dict[str, type[BaseSettings]] = {
    "a-service-alone": Settings,
    "embedded": Embedded,
    "gateway": gateway.settings.Settings,
    "dataset-svc": dataset_svc.settings.Settings,
    "algo-svc": algo_svc.settings.Settings,
    "train-svc": train_svc.settings.Settings,
    "notebook-svc": notebook_svc.settings.Settings,
    "serving-svc": serving_svc.settings.Settings,
}


def written(guide: str) -> str:
    """The guide with the tables as they should be."""
    return BLOCK.sub(lambda found: found[1] + as_table(SETTINGS[found[2]]) + found[3], guide)


def test_the_guide_has_every_setting_as_it_is() -> None:
    guide = GUIDE.read_text()
    assert {found[2] for found in BLOCK.finditer(guide)} == SETTINGS.keys()
    assert written(guide) == guide, "run python -m tests.architecture.test_configuration"


def test_every_setting_says_what_it_is_for() -> None:
    silent = [one.name for settings in SETTINGS.values() for one in variables(settings) if not one.meaning]
    assert silent == []


if __name__ == "__main__":
    GUIDE.write_text(written(GUIDE.read_text()))
