"""Whatever of the corpus is refused, the version before is online and readable: every archive and annotation file."""

from functools import partial

import pytest

from dataset_svc import storage
from dataset_svc.archives import Limits
from dataset_svc.importing import ImportResult, run_import
from dataset_svc.reconcile import imports
from tests.dataset_svc.archives.builder import Item, build, deflate
from tests.dataset_svc.archives.makers import libarchive
from tests.dataset_svc.archives.test_zip_hostile import BAD_MEMBERS, ONE_NAME
from tests.dataset_svc.collection import opened, unpacked, zipped
from tests.dataset_svc.corpus.archives import CASES, sevens
from tests.dataset_svc.corpus.test_annotations import CASES as ANNOTATED

GOOD = {"cat/1.txt": b"meow", "dog/1.txt": b"woof"}
PURPOSES = {
    "dir": ("text/classification", "class"),
    "single_text": ("text/classification", "class"),
    "json": ("image/detection", "box"),
    "brat_ann": ("text/entity", "entity"),
}
"""Of the dataset that the corpus of a format is tried on; each of its files is checked for its own purpose."""


def zips():
    """Those that are wrong in one member, in two names, or as a whole."""
    good = [Item(path, data) for path, data in GOOD.items()]
    kernel = Item("cat/kernel", bytes(100_000))
    wholes = [
        ("zip, a bomb", build([*good, Item("cat/zeros", packed=deflate(bytes(10_000_000)), size=10_000_000)])),
        ("zip, overlapping", build([kernel, *(Item(f"cat/{n}", packed=b"", offset=0) for n in range(3))])),
        ("zip, cut off", build(good)[:-9]),
        ("zip, too many entries told", build(good, entries=3)),
        ("zip, without files", build([])),
    ]
    members = [(f"zip, {code}: {item}", build([*good, item])) for item, code in BAD_MEMBERS]
    return [*members, *((f"zip, {pair}", build([*good, *map(Item, pair)])) for pair in ONE_NAME), *wholes]


def corpus(format):
    """Name, content, purpose and limits of each archive that is refused for a dataset in that format."""
    if format == "dir":
        hostile = [(case.name, case.content, case.limits) for case in (*CASES, *sevens())]
        hostile += [(name, content, Limits()) for name, content in zips()]
        return [(name, content, "text/classification", limits) for name, content, limits in hostile]
    found = [case for its_format, case in ANNOTATED if its_format == format and case.errors]
    return [(case.name, zipped(case.files), case.purpose, Limits()) for case in found]


async def checked(request, tell, *, purpose, limits):
    """What the child process does, in this one."""
    out = request.out / "packs"
    request.out.mkdir(parents=True)
    report = run_import(request.archive, out, format=request.format, purpose=purpose, limits=limits)
    assert not report.ok
    return ImportResult(report, None)


@pytest.mark.row("D2", "D12")
@pytest.mark.parametrize("format", PURPOSES)
async def test_what_is_refused_leaves_the_version_online_and_readable(tmp_path, monkeypatch, format):
    libarchive()
    purpose, annotation = PURPOSES[format]
    cases = corpus(format)
    assert len(cases) > 25
    async with opened(tmp_path / "home", part_bytes=64 << 20) as yard:
        alice, bob = yard.desk("alice"), yard.desk("bob")
        made = await alice.create(purpose=purpose, annotation=annotation, format=format, visibility="public")
        path = f"/datasets/{made['id']}"
        monkeypatch.setattr(imports, "import_archive", unpacked)
        await yard.import_((await alice.uploaded(made["id"], zipped(GOOD)))["id"])
        await alice.ok("POST", f"{path}/online")
        before = await bob.ok("GET", path)
        assert before["current_version"]["files"] == len(GOOD)
        for name, content, its_purpose, limits in cases:
            monkeypatch.setattr(imports, "import_archive", partial(checked, purpose=its_purpose, limits=limits))
            item = (await alice.uploaded(made["id"], content))["id"]
            await yard.import_(item)
            ended = await alice.ok("GET", f"{path}/imports/{item}")
            assert (ended["state"], ended["version_number"]) == ("failed", None), name
            assert ended["report"]["faults"], name
            assert await bob.ok("GET", path) == before, name
            answer = await bob.client.get(f"{path}/samples/file", params={"path": "cat/1.txt"})
            assert (answer.status_code, answer.content) == (200, b"meow"), name
        await yard.remove()
        async with yard.context.store.reading() as connection:
            [version] = await storage.versions_of(connection, made["id"])
        assert await yard.content(version.train.manifest) == GOOD
        assert len(await yard.keys()) == 2, "what was refused has left nothing"
