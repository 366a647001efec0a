"""What the loader hands to algo-svc."""

import ast
import base64
import io
import re
import sys
from pathlib import PurePosixPath

import pytest
from PIL import Image

from algo_svc import presets

PRESETS = {preset.name: preset for preset in presets.load_presets()}
IMPORT_NAMES = {"scikit-learn": "sklearn", "pillow": "PIL", "python-multipart": "python_multipart"}


@pytest.mark.row("A9")
def test_both_presets_are_there_with_their_own_and_the_shared_files() -> None:
    assert sorted(PRESETS) == ["image-classifier", "text-bayes"]
    for preset in PRESETS.values():
        assert {"train.py", "serve.py", "algorithm.json", "README.md", "yardkit/__init__.py"} <= set(preset.code)
        assert not any("__pycache__" in name or PurePosixPath(name).is_absolute() for name in preset.code)
        assert preset.definition["name"] == preset.name


def test_every_engine_named_is_defined_and_exactly_pinned() -> None:
    engines = {engine.name: engine for engine in presets.load_engines()}
    for preset in PRESETS.values():
        for part in ("training", "inference"):
            assert preset.definition[part]["engine"] in engines
    for engine in engines.values():
        assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line) for line in engine.requirements)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_package_imports_only_itself_the_standard_library_and_its_engine(name: str) -> None:
    (engine,) = presets.load_engines()
    required = [line.partition("==")[0] for line in engine.requirements]
    allowed = {IMPORT_NAMES.get(line, line) for line in required} | {"yardkit"} | set(sys.stdlib_module_names)
    for path, content in PRESETS[name].code.items():
        if path.endswith(".py"):
            assert _imports(content) <= allowed, path


def _imports(source: bytes) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(str(node.module).partition(".")[0])
    return names


@pytest.mark.row("A2")
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_parameters_are_declared_whole_and_their_defaults_are_allowed(name: str) -> None:
    from yardkit import parameters

    for parameter in PRESETS[name].definition["training"]["parameters"]:
        assert {"name", "type", "default", "description"} <= set(parameter)
        assert parameter["type"] in {"integer", "number", "string", "boolean"}
        assert parameters.convert(parameter, str(parameter["default"])) == parameter["default"]


@pytest.mark.row("A3")
def test_the_interface_of_the_text_classifier_is_the_one_asked_for() -> None:
    interface = PRESETS["text-bayes"].definition["inference"]["interface"]
    assert (interface["name"], interface["method"], interface["style"]) == (
        "classification_param",
        "POST",
        "params",
    )
    (given,) = interface["inputs"]
    assert given == {
        "name": "text",
        "type": "String",
        "required": True,
        "test_value": "足球",
        "description": "待分类文本",
    }


@pytest.mark.row("A3")
def test_the_test_value_of_the_image_classifier_is_an_image() -> None:
    interface = PRESETS["image-classifier"].definition["inference"]["interface"]
    assert (interface["name"], interface["method"], interface["style"]) == ("classify_image", "POST", "file")
    with Image.open(io.BytesIO(base64.b64decode(interface["inputs"][0]["test_value"]))) as image:
        assert image.size == (8, 8)
