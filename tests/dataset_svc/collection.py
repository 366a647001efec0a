"""dataset-svc without its loops, for tests that take each of their steps by hand and can be killed at any of them.

A kill is an exception that no code catches, raised before or after a call to the file store or a commit; whoever goes
on is a new process, which knows only what is stored.
"""

import shutil
import zipfile
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from io import BytesIO

import httpx2

from common import manifests
from common.db.migrate import upgrade
from common.manifests import PackWriter
from dataset_svc.importing import ImportResult
from dataset_svc.importing.report import Report
from dataset_svc.reconcile import Imports, Sets, Tidy
from dataset_svc.service import build
from dataset_svc.settings import Settings
from embedded.platform import open_platform
from embedded.settings import Settings as EmbeddedSettings
from tests.dataset_svc.conftest import Desk, Place
from tests.support.platform import House

SECONDS = 3600.0
STEPS = frozenset({"put", "put_file", "stat", "read", "delete", "abort_upload", "abort_direct"})


class Killed(BaseException):
    """kill -9."""


class Fate:
    """Counts steps, and kills at the one that was drawn."""

    def __init__(self):
        self.left = None

    def step(self):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Killed


class MortalFiles:
    """A file store, in whose calls one may die: before they did anything, or when they have done it."""

    def __init__(self, files, fate):
        self._files, self._fate = files, fate

    def __getattr__(self, name):
        call = getattr(self._files, name)
        if name not in STEPS:
            return call

        async def step(*args, **more):
            self._fate.step()
            answer = await call(*args, **more)
            self._fate.step()
            return answer

        return step


async def unpacked(request, tell):
    """What the child process does with a good zip, in this process."""
    if not zipfile.is_zipfile(request.archive):
        report = Report()
        report.error("bad_archive", "", "It is no archive.")
        return ImportResult(report, None)
    writer, classes = PackWriter(request.out / "packs", pack_bytes=request.pack_bytes), Counter[str]()
    with zipfile.ZipFile(request.archive) as archive:
        for name in archive.namelist():
            writer.add_bytes(name, archive.read(name))
            classes[name.partition("/")[0]] += 1
    return ImportResult(Report(summary={"classes": dict(classes)}), writer.finish())


async def stored(files, ref):
    """Every file of a list with its bytes; raises where anything of it is gone or another."""
    found = {}
    async for entry in manifests.read(files, ref):
        pieces = [chunk async for chunk in manifests.open_entry(files, ref, entry)]
        found[entry.path] = b"".join(pieces)
    return found


class Yard:
    """One dataset-svc. `restart` is what a new process would be."""

    def __init__(self, service, house, files, fate, lease):
        self.house, self.files, self.fate, self._lease = house, files, fate, lease
        self.context = service.app.state.context
        self.place = Place(house)
        self.restart()

    def restart(self):
        self.fate.left = None
        self.imports, self.sets = Imports(self.context), Sets(self.context)
        self.tidy = Tidy(self.context, lambda: self.imports.at_work)

    def desk(self, who="alice"):
        return Desk(self.house, self.house.client("dataset-svc", who))

    async def do(self, step, kill=None):
        """Take a step, or die at its step `kill`; True where it was taken to its end."""
        self.fate.left = kill
        try:
            await step()
        except Killed:
            self.restart()
            return False
        self.fate.left = None
        return True

    async def import_(self, import_id):
        await self.imports._import(import_id, self._lease)

    async def build_set(self, set_id):
        folder = self.context.scratch.parent / f"set-{set_id}"
        shutil.rmtree(folder, ignore_errors=True)  # of whoever was killed
        await self.sets._build(set_id, self._lease, folder)

    async def remove(self):
        self.tidy.wanted = True
        await self.tidy.round(self._lease)
        await self.sets._remove()

    async def content(self, ref):
        """See `stored`."""
        return await stored(self.files, ref)

    async def keys(self, prefix=""):
        return [info.key async for info in self.files.list(prefix)]


@asynccontextmanager
async def opened(home, files=None, *, part_bytes=1000):
    """A yard on a folder, over the platform's own file store or another."""
    fate = Fate()
    clients: dict[str, httpx2.AsyncClient] = {}
    async with open_platform(EmbeddedSettings(home=home), clients) as platform:
        real = files or platform.files
        platform = replace(platform, files=MortalFiles(real, fate))
        settings = Settings(part_bytes=part_bytes, pack_bytes=100, upload_ttl=1e9, tidy_seconds=1e9)
        service = build(platform, settings)
        store = service.kit.store
        await upgrade(store.database, service.migrations)
        await service.ask_the_hour()
        _mortal_commits(store, fate)
        house = House(platform, {service.name: service}, platform.signer_of("gateway"))
        lease = await service.kit.leases.acquire("imports", SECONDS)
        try:
            yield Yard(service, house, real, fate, lease)
        finally:
            await house.close()
            await store.database.close()


def _mortal_commits(store, fate):
    work = store.work

    @asynccontextmanager
    async def mortal(actor=None):
        async with work(actor) as uow:
            yield uow
            fate.step()
        fate.step()

    store.work = mortal


def zipped(content):
    """A zip of these files."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, data in content.items():
            archive.writestr(path, data)
    return buffer.getvalue()
