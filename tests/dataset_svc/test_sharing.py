"""Versions of one dataset share their files: an import stores what is new, whatever it is called now."""

import pytest

from common import manifests
from common.contracts.shared import ManifestRef
from tests.dataset_svc.conftest import png, zipped

FILES = {f"{'cat' if number % 2 else 'dog'}/{number:03}.png": png(number) for number in range(100)}


async def stored(place, dataset):
    """Bytes of all packs of a dataset."""
    return sum([info.size async for info in place.context.files.list(f"datasets/{dataset}/") if "/pack-" in info.key])


async def whole(place, version):
    """Every file of a version with its bytes."""
    files, ref = place.context.files, ManifestRef(**version["train"]["manifest"])
    return {
        entry.path: b"".join([chunk async for chunk in manifests.open_entry(files, ref, entry)])
        async for entry in manifests.read(files, ref)
    }


@pytest.mark.row("D12")
async def test_an_import_stores_only_what_is_new(place, alice):
    made = await alice.filled(FILES)
    await place.tidied(f"datasets/{made['id']}/", 2)
    before = await stored(place, made["id"])
    changed = {**FILES, "cat/001.png": png(200)}
    renamed = {f"imported/{path.replace('cat', 'kat')}": data for path, data in changed.items()}
    for number, (content, new) in enumerate([(changed, len(png(200))), (renamed, 0)], 2):
        done = await alice.imported(made["id"], content)
        assert (done["state"], done["version_number"]) == ("succeeded", number)
        await place.tidied(f"uploads/{made['id']}/")
        assert await stored(place, made["id"]) == before + new
        before += new
    versions = (await alice.ok("GET", f"/datasets/{made['id']}/versions"))["items"]
    top = {path.removeprefix("imported/"): data for path, data in renamed.items()}
    for version, content in zip(versions, [top, changed, FILES], strict=True):
        assert await whole(place, version) == content
    answer = await alice.client.get(f"/datasets/{made['id']}/samples/file?path=kat/001.png")
    assert answer.content == png(200)
    diff = await alice.ok("GET", f"/datasets/{made['id']}/versions/2/diff/3?limit=1")
    assert {kind: one["files"] for kind, one in diff["totals"].items() if one["files"]} == {"renamed": 50}


@pytest.mark.row("D12")
async def test_a_digest_does_not_tell_how_a_version_is_stored(alice):
    shared = await alice.filled(FILES)
    await alice.imported(shared["id"], {**FILES, "cat/001.png": png(200)})
    alone = await alice.filled({**FILES, "cat/001.png": png(200)})
    digests = [
        (await alice.ok("GET", f"/datasets/{one['id']}"))["current_version"]["digest"] for one in (shared, alone)
    ]
    assert digests[0] == digests[1]


@pytest.mark.row("D2", "D12")
async def test_a_version_whose_list_is_damaged_is_not_shared_with(place, alice):
    """What a damaged list says is not taken for true: the next import is stored whole, and repairs the dataset."""
    made = await alice.filled(FILES)
    address = made["current_version"]["train"]["manifest"]["address"]
    await place.context.files.put(address, b"damaged\n")
    done = await alice.imported(made["id"], zipped({**FILES, "cat/001.png": png(200)}))
    assert done["state"] == "succeeded", done
    version = (await alice.ok("GET", f"/datasets/{made['id']}"))["current_version"]
    assert await whole(place, version) == {**FILES, "cat/001.png": png(200)}
