"""A part of a name is found as by looking at every name, whatever characters names have (row D5)."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.files import LocalFiles
from common.kernel.errors import Problem
from common.manifests import entries_at, places, store_bytes
from dataset_svc.looking import names as room
from dataset_svc.looking.names import Names, fold, write_names

NAMES = [
    *(f"第{number}张_猫.PNG" for number in range(30)),
    *(f"IMG_{number:04d}.jpg" for number in range(300)),
    "Straße.txt",
    'a","s":1.txt',
    "back\\slash",
    "line\nend",
    "İstanbul",
    "ΣΊΣΥΦΟΣ",
]
PATHS = sorted(f"{folder}/{name}" for folder in ("cat", "Dog/2024", "猫") for name in NAMES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("names")


@pytest.mark.row("D5")
@settings(max_examples=50)
@given(
    part=st.sampled_from(
        ["猫", "IMG_00", "img_0", "9.J", "STRASSE", '","s"', "\\", "\n", " ", "istanbul", "σίσυφος", "cat"]
    )
    | st.text(min_size=1, max_size=3),
    start=st.sampled_from(PATHS) | st.just(""),
    most=st.integers(1, 60),
)
async def test_what_is_found_is_what_has_the_part(folder: Path, part: str, start: str, most: int) -> None:
    files = LocalFiles(folder, sync=False)
    room._AT_ONCE = 100
    try:
        ref = await store_bytes(files, dict.fromkeys(PATHS, b"x"), "v")
        await write_names(files, ref, folder / "names")
        names = Names((folder / "names").open("rb"))
        low, high = await places(files, ref, [start, "猫/"])
        found = [entry.path for entry in await entries_at(files, ref, names.search(part, low, high, most))]
        names.close()
        expected = [path for path in PATHS if start <= path < "猫/" and fold(part) in fold(path.rpartition("/")[2])]
        assert found == expected[:most]
    finally:
        room._AT_ONCE = 32_768
        await files.close()


async def test_a_list_that_is_damaged_is_told(folder: Path) -> None:
    files = LocalFiles(folder, sync=False)
    try:
        ref = await store_bytes(files, {"a/1": b"x"}, "w")
        for number, broken in enumerate((b"", b"{}", b"{}\n{", b"{}\nnonsense\n")):
            await files.put(f"broken/{number}", broken)
            wrong = ref.model_copy(update={"address": f"broken/{number}"})
            with pytest.raises(Problem) as raised:
                await write_names(files, wrong, folder / "names")
            assert raised.value.code == "manifest_corrupt"
    finally:
        await files.close()
