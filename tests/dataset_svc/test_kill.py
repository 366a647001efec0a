"""kill -9 at every step between an uploaded archive and its version: after a restart it is there, once."""

import pytest

from tests.dataset_svc.conftest import Open, pictures, zipped

KILLED = """
    import asyncio, sys
    from pathlib import Path
    from dataset_svc.reconcile import keeping, workplace, outcomes
    from dataset_svc.usecases import uploads
    from tests.dataset_svc.conftest import Place, Settings, build, pictures, running, zipped

    home, point = sys.argv[1:]
    POINTS = {
        "assembled": (uploads, "_queue", False),
        "queued": (outcomes.Outcomes, "begin", False),
        "begun": (outcomes.Outcomes, "begin", True),
        "checked": (workplace.Workplace, "store", False),
        "stored": (workplace.Workplace, "store", True),
        "committed": (outcomes.Outcomes, "succeed", True),
        "storing": (keeping.manifests, "store", True),
    }
    place, name, after = POINTS[point]
    real = getattr(place, name)

    async def wait_for_death(*args, **more):
        if after:
            await real(*args, **more)
        print("here", flush=True)
        await asyncio.sleep(3600)

    setattr(place, name, wait_for_death)

    async def main():
        async with running(Path(home), [lambda platform: build(platform, Settings(part_bytes=1000))]) as house:
            alice = Place(house).desk()
            made = await alice.create()
            content = zipped(pictures())
            upload = await alice.begin(made["id"], content)
            print(made["id"], upload["id"], flush=True)
            await alice.send(made["id"], upload, content)
            path = f"/datasets/{made['id']}/uploads/{upload['id']}/complete"
            await alice.ok("POST", path, 202)
            await asyncio.sleep(3600)

    import structlog
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    asyncio.run(main())
"""


@pytest.mark.row("D2", "D12")
@pytest.mark.parametrize("point", ["assembled", "queued", "begun", "checked", "storing", "stored", "committed"])
async def test_a_killed_import_is_finished_after_a_restart(open_place: Open, home, child, point):
    killed = child(KILLED, home, point)
    dataset, upload = killed.line().split()
    assert killed.line() == "here"
    killed.kill()
    async with open_place() as place:
        alice = place.desk()
        again = await alice.ok("POST", f"/datasets/{dataset}/uploads/{upload}/complete", 202)
        done = await alice.ended(again)
        assert (done["state"], done["version_number"], done["unchanged"]) == ("succeeded", 1, False)
        assert await place.told(dataset) == ["dataset.imported"]
        found = await alice.ok("GET", f"/datasets/{dataset}")
        assert [item["id"] for item in found["imports"]] == [done["id"]]
        assert found["current_version"]["files"] == len(pictures())
        await place.tidied(f"datasets/{dataset}/", 2)
        await place.swept()
        assert (await alice.imported(dataset, zipped(pictures())))["unchanged"], "and it is whole"
