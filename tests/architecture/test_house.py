"""The house rules that no other tool keeps."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.kernel.states import Transitions

ROOT = Path(__file__).parents[2]
SERVICES = {path.name: next((path / "src").iterdir()).name for path in sorted((ROOT / "services").iterdir())}


def tracked(*endings: str) -> list[Path]:
    """The files that git knows, and those that it would take."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in names if name.endswith(endings) and (ROOT / name).is_file()]


def tables(package: str) -> Iterator[tuple[str, Transitions]]:
    """Every state table in a service's domain."""
    domain = importlib.import_module(f"{package}.domain")
    for found in pkgutil.walk_packages(domain.__path__, f"{domain.__name__}."):
        for value in vars(importlib.import_module(found.name)).values():
            if isinstance(value, Transitions):
                yield found.name, value


@pytest.mark.parametrize("service", SERVICES)
def test_a_readme_draws_every_state_table_as_it_is(service: str) -> None:
    readme = (ROOT / "services" / service / "README.md").read_text()
    missing = {table.name for _, table in tables(SERVICES[service]) if table.mermaid() not in readme}
    assert not missing, f"services/{service}/README.md doesn't draw these as the code has them: {missing}"


def test_the_lock_names_no_address_and_every_package_has_hashes() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    packages = re.split(r"\n(?=[a-z0-9])", lock.strip())
    assert len(packages) > 50
    assert [package.split()[0] for package in packages if "--hash=sha256:" not in package] == []


def test_nothing_is_tracked_that_must_not_be() -> None:
    forbidden = ("uv.lock", ".pem", ".crt", ".key", ".pfx")
    assert tracked(*forbidden) == []
    secret = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|yk_[A-Za-z0-9_-]{40,}")
    assert [path for path in tracked(".py", ".md", ".toml", ".json") if secret.search(path.read_text())] == []


def test_every_module_says_why_it_exists() -> None:
    ours = [path for path in tracked(".py") if path.is_relative_to(ROOT / "libs") or "services" in path.parts]
    silent = [path for path in ours if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_rooms_have_names_and_tests_are_all_run() -> None:
    assert [path for path in tracked(".py") if path.name in ("utils.py", "helpers.py", "misc.py")] == []
    left_out = re.compile(r"pytest\.(mark\.)?(skip|xfail|importorskip)|unittest\.skip")
    assert [p for p in tracked(".py") if p != Path(__file__) and left_out.search(p.read_text())] == []
