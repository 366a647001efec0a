"""Garbage collection against a model, with kills at any step: what a version, a job, a formatted set or an upload holds
is never taken, and what nobody holds is taken in the end (rows D4, D12).
"""

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from common.contracts.shared import ManifestRef
from dataset_svc import storage
from dataset_svc.reconcile import imports
from tests.dataset_svc.collection import opened, unpacked, zipped
from tests.dataset_svc.conftest import DEADLINE_SECONDS

FILE = st.sampled_from([b"", b"cat" * 9, b"dog" * 20, b"bird" * 30, b"fish" * 40])
CONTENTS = st.dictionaries(st.sampled_from([f"{c}/{n}" for c in "ab" for n in range(3)]), FILE, min_size=1, max_size=5)
KILL = st.one_of(st.none(), st.integers(0, 25))
HOLDERS = st.sampled_from(["hold-1", "hold-2"])
FORMATS = st.sampled_from(["raw", "tfrecord"])
RATIOS = st.sampled_from([None, 0.5])
STEPS = st.sampled_from([0, 1, 2, 4, 4])


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Imports unpack here: what they start otherwise has nothing to do with who holds what."""
    monkeypatch.setattr(imports, "import_archive", unpacked)


class Collection(RuleBasedStateMachine):
    """`contents` are those of each version, of datasets deleted or not, and `made` those of each set that was built,
    with its list; `held` says who holds what."""

    datasets = Bundle("datasets")
    imports = Bundle("imports")
    sets = Bundle("sets")
    uploads = Bundle("uploads")

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.home = Path(tempfile.mkdtemp(prefix="collection-"))
        self._opened = opened(self.home)
        self.yard = self.run(self._opened.__aenter__())
        self.alice, self.jobs = self.yard.desk("alice"), self.yard.desk("train-svc")
        self.deleted, self.gone_sets = set(), set()
        self.held = {}
        self.open_uploads = {}
        self.contents = {}
        self.queued = {}
        self.sets_of = {}
        self.unbuilt, self.raw_sets = set(), set()
        self.made = {}

    def run(self, work):
        async def bounded():
            async with asyncio.timeout(DEADLINE_SECONDS):
                return await work

        return self.loop.run_until_complete(bounded())

    @initialize(target=datasets, contents=st.lists(CONTENTS, min_size=1, max_size=2))
    def begin_with(self, contents):
        """Datasets with a version: what there is to lose."""
        return multiple(*(self.create(content) for content in contents))

    @rule(target=datasets, content=CONTENTS)
    def create(self, content):
        made = self.run(self.alice.create(purpose="text/classification"))["id"]
        item = self.run(self.alice.uploaded(made, zipped(content)))
        self.queued[item["id"]] = (made, content)
        self.run(self.yard.import_(item["id"]))
        self._learn(item["id"])
        return made

    @rule(target=imports, dataset=datasets, content=CONTENTS, good=st.integers(0, 5))
    def upload(self, dataset, content, good):
        if dataset in self.deleted:
            return multiple()
        item = self.run(self.alice.uploaded(dataset, zipped(content) if good else b"broken"))
        self.queued[item["id"]] = (dataset, content if good else None)
        return item["id"]

    @rule(target=uploads, dataset=datasets)
    def begin_an_upload(self, dataset):
        if dataset in self.deleted:
            return multiple()
        upload = self.run(self.alice.begin(dataset, b"x" * 1500))
        self.run(self.alice.send(dataset, upload, b"x" * 1500, [1]))
        self.open_uploads[upload["id"]] = dataset
        return upload["id"]

    @rule(upload=consumes(uploads))
    def abort_an_upload(self, upload):
        dataset = self.open_uploads.pop(upload, None)
        if dataset is not None:
            self.run(self.alice.ok("DELETE", f"/datasets/{dataset}/uploads/{upload}", 204))

    @rule(item=imports, kill=KILL)
    def work_at_an_import(self, item, kill):
        """Imports of one dataset are worked at in their order, as the loop does."""
        if item in self.queued and self._first(item):
            self.run(self.yard.do(lambda: self.yard.import_(item), kill))
            self._learn(item)

    def _first(self, item):
        return item == min(one for one, (dataset, _) in self.queued.items() if dataset == self.queued[item][0])

    def _learn(self, item):
        """What is told of it now is what must be kept from now on."""
        dataset, content = self.queued[item]
        if dataset in self.deleted:
            self.queued.pop(item)
            return
        ended = self.run(self.alice.ok("GET", f"/datasets/{dataset}/imports/{item}"))
        if ended["state"] in ("queued", "running"):
            return
        assert ended["state"] == ("succeeded" if content is not None else "failed"), ended
        self.queued.pop(item)
        if content is not None:
            self.contents[dataset, ended["version_number"]] = content

    @rule(item=imports)
    def cancel_an_import(self, item):
        if item in self.queued:
            dataset, _ = self.queued.pop(item)
            if dataset not in self.deleted:
                self.run(self.alice.ok("POST", f"/datasets/{dataset}/imports/{item}/cancel"))

    @rule(dataset=datasets, holder=HOLDERS)
    def hold(self, dataset, holder):
        answer = self.run(self.jobs.client.put(f"/datasets/{dataset}/holds/{holder}"))
        if answer.status_code == 204:
            self.held.setdefault(dataset, set()).add(holder)
        else:
            assert (answer.status_code, dataset in self.deleted) == (404, True)

    @rule(dataset=datasets, holder=HOLDERS)
    def release(self, dataset, holder):
        self.run(self.jobs.ok("DELETE", f"/datasets/{dataset}/holds/{holder}", 204))
        self.held.get(dataset, set()).discard(holder)

    @rule(dataset=datasets)
    def delete(self, dataset):
        if dataset not in self.deleted:
            self.run(self.alice.ok("DELETE", f"/datasets/{dataset}", 204))
            self.deleted.add(dataset)
            for item in [one for one, (of, _) in self.queued.items() if of == dataset]:
                self.queued.pop(item)
            self.open_uploads = {one: of for one, of in self.open_uploads.items() if of != dataset}

    @rule(target=sets, dataset=datasets, format=FORMATS, ratio=RATIOS, steps=STEPS)
    def order_a_set(self, dataset, format, ratio, steps):
        """And take the next steps of its life, which drawing one by one would seldom come to."""
        if dataset in self.deleted or (dataset, 1) not in self.contents:
            return multiple()
        body = {"dataset_id": dataset, "format": format, "ratio": ratio}
        item = self.run(self.alice.ok("POST", "/formatted-sets", 202, json=body))["id"]
        self.sets_of[item] = dataset
        self.unbuilt.add(item)
        if format == "raw":
            self.raw_sets.add(item)
        life = [
            lambda: self.build_a_set(item, None),
            lambda: self.hold_a_set(item, "hold-1"),
            lambda: self.delete_a_set(item),
            lambda: self.collect(None),
        ]
        for step in life[:steps]:
            step()
        return item

    @rule(item=sets, kill=KILL)
    def build_a_set(self, item, kill):
        if item in self.unbuilt - self.gone_sets:
            self.run(self.yard.do(lambda: self.yard.build_set(item), kill))
            self._learn_set(item)

    def _learn_set(self, item):
        """What it came to is what must be kept from now on."""
        found = self._set(item)
        if found["state"] in ("queued", "building"):
            return
        self.unbuilt.discard(item)
        version = self.contents[self.sets_of[item], found["origin"]["version"]]
        if found["state"] == "failed":
            assert (found["code"], found["cut"]["share"] < 1) == ("empty_set", True), found
            return
        ref = ManifestRef(**found["manifest"])
        content = self.run(self.yard.content(ref))
        assert content
        if item in self.raw_sets:
            assert content.items() <= version.items()
            assert found["cut"]["share"] < 1 or content == version
        self.made[item] = ref, content

    @rule(item=sets)
    def delete_a_set(self, item):
        if item not in self.gone_sets:
            self.run(self.alice.ok("DELETE", f"/formatted-sets/{item}", 204))
            self.gone_sets.add(item)

    @rule(item=sets, holder=HOLDERS)
    def hold_a_set(self, item, holder):
        answer = self.run(self.jobs.client.put(f"/formatted-sets/{item}/holds/{holder}"))
        if answer.status_code == 204:
            self.held.setdefault(item, set()).add(holder)

    @rule(item=sets, holder=HOLDERS)
    def release_a_set(self, item, holder):
        self.run(self.jobs.ok("DELETE", f"/formatted-sets/{item}/holds/{holder}", 204))
        self.held.get(item, set()).discard(holder)

    @rule(kill=KILL)
    def collect(self, kill):
        self.run(self.yard.do(self.yard.remove, kill))

    def _set(self, item):
        return self.run(self.alice.ok("GET", f"/formatted-sets/{item}"))

    def _kept(self, dataset):
        """Whether its files must be there: it is, or a job holds it, or a formatted set that needs them."""
        used = [item for item, of in self.sets_of.items() if of == dataset and self._needs_its_dataset(item)]
        return dataset not in self.deleted or bool(self.held.get(dataset) or used)

    def _needs_its_dataset(self, item):
        """A raw set has no bytes of its own; others have, once they were built."""
        if item in self.unbuilt:
            return item not in self.gone_sets
        return item in self.raw_sets and item in self.made and self._set_kept(item)

    def _set_kept(self, item):
        """Whether its files must be there: it is, or a job holds it."""
        return item not in self.gone_sets or bool(self.held.get(item))

    @invariant()
    def what_is_held_is_there(self):
        for (dataset, number), content in self.contents.items():
            if self._kept(dataset):
                assert self.run(self._version(dataset, number)) == content
        for item, (ref, content) in self.made.items():
            if self._set_kept(item):
                assert self.run(self.yard.content(ref)) == content
        for upload, dataset in self.open_uploads.items():
            found = self.run(self.alice.ok("GET", f"/datasets/{dataset}/uploads/{upload}"))
            assert (found["state"], found["parts"]) == ("open", [1])

    async def _version(self, dataset, number):
        async with self.yard.context.store.reading() as connection:
            version = await storage.version_numbered(connection, dataset, number)
        return await self.yard.content(version.train.manifest)

    def teardown(self):
        try:
            self._let_go_of_everything()
            assert self.run(self.yard.keys()) == []
        finally:
            self.run(self._opened.__aexit__(None, None, None))
            self.loop.close()
            shutil.rmtree(self.home)

    def _let_go_of_everything(self):
        """Once nobody holds anything any more, and all is deleted, nothing is left."""
        self.yard.restart()
        for resource, holders in self.held.items():
            kind = "datasets" if resource.startswith("ds-") else "formatted-sets"
            for holder in holders:
                self.run(self.jobs.ok("DELETE", f"/{kind}/{resource}/holds/{holder}", 204))
        for item in self.sets_of.keys() - self.gone_sets:
            self.run(self.alice.ok("DELETE", f"/formatted-sets/{item}", 204))
        for one in self.run(self.alice.ok("GET", "/datasets?limit=500"))["items"]:
            self.run(self.alice.ok("DELETE", f"/datasets/{one['id']}", 204))
        for _ in range(3):
            self.run(self.yard.remove())


class Quick(Collection):
    """A few short runs with every test run."""


Quick.TestCase.settings = settings(max_examples=6, stateful_step_count=25, suppress_health_check=list(HealthCheck))
test_what_is_held_is_never_taken = pytest.mark.row("D4", "D12")(Quick.TestCase)


class Long(Collection):
    """Many long runs, for `make faults`."""


Long.TestCase.settings = settings(max_examples=300, stateful_step_count=60, suppress_health_check=list(HealthCheck))
test_what_is_held_is_never_taken_in_long_runs = pytest.mark.faults(Long.TestCase)
