"""An import shows what it is at, can be cancelled there, and goes on after a kill there: fetching what lies elsewhere,
copying the archive here, looking and taking (see `test_imports_api`, `test_kill`), storing."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from common import manifests
from common.kernel.errors import Unavailable
from common.kernel.pauses import Pauses
from common.ports.files import FilesCapabilities
from dataset_svc.reconcile import fetching, resting, workplace
from tests.dataset_svc.conftest import DEADLINE_SECONDS, Desk, Open, Place, pictures, zipped
from tests.dataset_svc.test_sources import brought, described, lying

STEPS: dict[str, tuple[Any, str]] = {
    "fetching": (fetching._Fetch, "_file"),
    "copying": (workplace, "bring"),
    "storing": (manifests, "store"),
}


class Held:
    """A step that waits once it was done, until it is let go or cancelled."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        self.reached, self.opened, self.cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()
        real = getattr(owner, name)

        async def step(*told: Any) -> Any:
            done = await real(*told)
            self.reached.set()
            try:
                await self.opened.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
            return done

        monkeypatch.setattr(owner, name, step)


async def uploaded(place: Place, alice: Desk, dataset: dict[str, Any]) -> dict[str, Any]:
    return await alice.uploaded(dataset["id"], zipped(pictures()))


async def from_source(place: Place, alice: Desk, dataset: dict[str, Any]) -> dict[str, Any]:
    return await brought(alice, dataset, await described(alice, prefix="pets"))


@pytest.mark.row("D2", "D11")
@pytest.mark.parametrize(
    ("phase", "begin"),
    [("fetching", from_source), ("copying", uploaded), ("storing", uploaded)],
    ids=lambda one: one if isinstance(one, str) else "",
)
async def test_it_is_cancelled_wherever_it_is(
    open_place: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str, begin: Any
) -> None:
    lying(tmp_path / "lab")
    held = Held(monkeypatch, *STEPS[phase])
    async with open_place(shared_roots={"lab": tmp_path / "lab"}) as place:
        if phase == "copying":
            monkeypatch.setattr(place.context.files, "local_path", lambda key: None)
        alice = place.desk("alice")
        dataset = await alice.create()
        item = await begin(place, alice, dataset)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await held.reached.wait()
        at = f"/datasets/{dataset['id']}/imports/{item['id']}"
        seen = await alice.ok("GET", at)
        assert (seen["state"], seen["phase"]) == ("running", "fetching" if phase == "copying" else phase)
        assert 0 < seen["bytes_done"] <= seen["bytes_total"]
        assert seen["rate"] > 0
        assert (await alice.ok("POST", f"{at}/cancel"))["state"] == "cancelled"
        async with asyncio.timeout(DEADLINE_SECONDS):
            await held.cancelled.wait()
        await place.tidied(f"datasets/{dataset['id']}/")
        await place.swept()
        assert (await alice.ok("GET", f"/datasets/{dataset['id']}"))["state"] == "empty"
        held.opened.set()
        assert (await alice.ended(await begin(place, alice, dataset)))["version_number"] == 1


KILLED = """
    import asyncio, sys
    from pathlib import Path
    from dataset_svc.reconcile import fetching, workplace
    from tests.dataset_svc.conftest import Place, Settings, build, running
    from tests.dataset_svc.test_sources import brought, described

    home, lab, point = sys.argv[1:]
    place, name, after = {
        "fetching": (fetching._Fetch, "_file", True),
        "fetched": (workplace.Workplace, "_archive", False),
    }[point]
    real = getattr(place, name)

    async def wait_for_death(*args, **more):
        if after:
            await real(*args, **more)
        print("here", flush=True)
        await asyncio.sleep(3600)

    setattr(place, name, wait_for_death)

    async def main():
        settings = Settings(shared_roots={"lab": lab})
        async with running(Path(home), [lambda platform: build(platform, settings)]) as house:
            alice = Place(house).desk()
            made = await alice.create()
            item = await brought(alice, made, await described(alice, prefix="pets"))
            print(made["id"], item["id"], flush=True)
            await asyncio.sleep(3600)

    import structlog
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    asyncio.run(main())
"""


@pytest.mark.row("D11")
@pytest.mark.parametrize("point", ["fetching", "fetched"])
async def test_killed_while_it_fetches_it_goes_on(
    open_place: Open, home: Path, tmp_path: Path, child: Any, point: str
) -> None:
    """What was fetched whole is not fetched again: it is gone from where it lay."""
    lab = tmp_path / "lab"
    lying(lab)
    killed = child(KILLED, home, lab, point)
    lines = {killed.line() for _ in range(2)}
    assert "here" in lines
    dataset, item = (lines - {"here"}).pop().split()
    killed.kill()
    if point == "fetched":
        shutil.rmtree(lab / "pets")
    async with open_place(shared_roots={"lab": lab}) as place:
        alice = place.desk()
        done = await alice.ended({"dataset_id": dataset, "id": item})
        assert (done["state"], done["version_number"]) == ("succeeded", 1), done
        await place.tidied(f"datasets/{dataset}/", 2)
        await place.swept()


@pytest.mark.row("D2")
async def test_while_its_storage_is_away_it_waits_and_its_progress_never_goes_back(
    place: Place, alice: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = asyncio.Event()
    store = manifests.store

    async def storing(*told: Any) -> Any:
        if not away.is_set():
            away.set()
            raise Unavailable("files_unavailable", "The file store does not answer.")
        return await store(*told)

    monkeypatch.setattr(manifests, "store", storing)
    made = await alice.create()
    item = await alice.uploaded(made["id"], zipped(pictures()))
    seen: list[dict[str, Any]] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not seen or seen[-1]["state"] in ("queued", "running"):
            seen.append(await alice.ok("GET", f"/datasets/{made['id']}/imports/{item['id']}"))
            await asyncio.sleep(0.005)
    assert away.is_set()
    assert "waiting" in {one["phase"] for one in seen}
    progress = [(one["progress"], one["bytes_done"], one["files_done"]) for one in seen]
    assert progress == sorted(progress)
    assert (seen[-1]["state"], seen[-1]["progress"]) == ("succeeded", 1.0)
    async with asyncio.timeout(DEADLINE_SECONDS):
        while place.context.progress:  # nothing is kept of what has ended
            await asyncio.sleep(0.005)


async def away(*told: Any) -> Any:
    raise Unavailable("source_unavailable", "The bucket does not answer.")


@pytest.mark.row("D11")
async def test_who_waits_for_a_source_says_why_and_lets_others_go_first(
    open_place: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lying(tmp_path / "lab")
    monkeypatch.setattr(fetching, "opened", away)
    async with open_place(shared_roots={"lab": tmp_path / "lab"}, imports_at_once=1) as place:
        alice = place.desk("alice")
        first, second = await alice.create(name="first"), await alice.create(name="second")
        waiting = await brought(alice, first, await described(alice, prefix="pets"))
        done = await alice.ended(await alice.uploaded(second["id"], zipped(pictures())))
        assert done["state"] == "succeeded"
        seen = await alice.ok("GET", f"/datasets/{first['id']}/imports/{waiting['id']}")
        assert (seen["state"], seen["phase"], seen["reason"]) == ("running", "waiting", "The bucket does not answer.")


@pytest.mark.row("D11")
async def test_a_source_that_stays_away_is_told(
    open_place: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lying(tmp_path / "lab")
    monkeypatch.setattr(fetching, "opened", away)
    monkeypatch.setattr(Pauses, "begin", lambda *_: None)
    async with open_place(shared_roots={"lab": tmp_path / "lab"}, source_seconds=0.01) as place:
        alice = place.desk("alice")
        dataset = await alice.create()
        ended = await alice.ended(await brought(alice, dataset, await described(alice, prefix="pets")))
        told = (ended["state"], ended["code"], ended["reason"])
        assert told == ("failed", "source_unavailable", "The bucket does not answer.")


@pytest.mark.row("D2")
async def test_what_nobody_foresaw_is_tried_some_times_and_then_told(
    place: Place, alice: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    async def broken(*told: Any) -> Any:
        tries.append(told)
        raise LookupError("a fault of ours")

    monkeypatch.setattr(manifests, "store", broken)
    monkeypatch.setattr(Pauses, "begin", lambda *_: None)
    made = await alice.create()
    ended = await alice.ended(await alice.uploaded(made["id"], zipped(pictures())))
    assert (ended["state"], ended["code"]) == ("failed", "internal")
    assert "its log tells more" in ended["reason"]
    assert len(tries) == resting.TRIES
    assert (await alice.ok("GET", f"/datasets/{made['id']}"))["state"] == "empty"


@pytest.mark.row("D2")
async def test_an_archive_that_is_copied_here_first_has_half_of_its_way_before_it(
    place: Place, alice: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on S3: what is copied is not yet read."""
    away = FilesCapabilities(local_paths=False, presign=False)
    monkeypatch.setattr(place.context.files, "capabilities", away, raising=False)
    monkeypatch.setattr(place.context.files, "local_path", lambda key: None)
    held = Held(monkeypatch, workplace, "bring")
    made = await alice.create()
    item = await alice.uploaded(made["id"], zipped(pictures()))
    async with asyncio.timeout(DEADLINE_SECONDS):
        await held.reached.wait()
    seen = await alice.ok("GET", f"/datasets/{made['id']}/imports/{item['id']}")
    assert (seen["bytes_done"], seen["progress"]) == (seen["bytes_total"], 0.5)
    held.opened.set()
    assert (await alice.ended(item))["progress"] == 1.0
