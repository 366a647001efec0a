"""After every archive and annotation file of the corpus that is refused, the version before is online and readable."""

from functools import partial

import pytest

from dataset_svc import storage
from dataset_svc.archives import Limits
from dataset_svc.importing import ImportResult, run_import
from dataset_svc.reconcile import imports
from tests.dataset_svc.archives.makers import libarchive
from tests.dataset_svc.collection import opened, unpacked, zipped
from tests.dataset_svc.corpus.annotations import BRAT, COCO, SINGLE
from tests.dataset_svc.corpus.archives import CASES

GOOD = {"cat/1.txt": b"meow", "dog/1.txt": b"woof"}
ARCHIVES = [(case.name, case.content, "text/classification", case.limits) for case in CASES]


def annotated(cases):
    """Those of them that are refused, as archives."""
    return [(case.name, zipped(case.files), case.purpose, Limits()) for case in cases if case.errors]


CORPUS = {
    "dir": ("text/classification", "class", ARCHIVES),
    "single_text": ("text/classification", "class", annotated(SINGLE)),
    "json": ("image/detection", "box", annotated(COCO)),
    "brat_ann": ("text/entity", "entity", annotated(BRAT)),
}


async def checked(request, tell, *, purpose, limits):
    """What the child process does, in this one."""
    out = request.out / "packs"
    request.out.mkdir(parents=True)
    report = run_import(request.archive, out, format=request.format, purpose=purpose, limits=limits)
    assert not report.ok
    return ImportResult(report, None)


@pytest.mark.row("D2", "D12")
@pytest.mark.parametrize("format", CORPUS)
async def test_what_is_refused_leaves_the_version_online_and_readable(tmp_path, monkeypatch, format):
    libarchive()
    purpose, annotation, cases = CORPUS[format]
    assert len(cases) > 15
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
