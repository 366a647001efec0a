"""The way of a dataset from nothing to being used, as a person goes it."""

import pytest

from tests.dataset_svc.conftest import IMAGES, pictures, zipped


@pytest.mark.row("D1", "D2", "D5", "D6", "D12")
async def test_from_a_zip_to_an_online_dataset(place, alice):
    made = await alice.create(description="猫和狗")
    assert made["id"].startswith("ds-")
    assert (made["state"], made["online"], made["visibility"], made["version"]) == ("empty", False, "private", 1)
    assert (made["purpose"], made["annotation"], made["format"], made["test_mode"]) == (IMAGES, "class", "dir", "ratio")
    assert (made["current_version"], made["imports"], made["missing_parts"]) == (None, [], ["train"])

    done = await alice.imported(made["id"], pictures(cats=3, dogs=2))
    assert (done["state"], done["version_number"], done["unchanged"]) == ("succeeded", 1, False)
    assert (done["phase"], done["progress"], done["files_done"]) == ("done", 1.0, 5)
    assert done["bytes_done"] == done["bytes_total"] == len(zipped(pictures()))

    ready = await alice.ok("GET", f"/datasets/{made['id']}")
    version = ready["current_version"]
    assert (ready["state"], ready["imports"][0]["id"]) == ("ready", done["id"])
    assert (version["number"], version["files"], version["classes"]) == (1, 5, {"cat": 3, "dog": 2})
    assert version["bytes"] == sum(map(len, pictures().values()))
    assert version["train"]["figures"]["images"]["kinds"] == {"PNG": 5}
    assert [sample["path"] for sample in version["preview"]] == ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]

    online = await alice.ok("POST", f"/datasets/{made['id']}/online")
    assert (online["state"], online["online"]) == ("online", True)
    assert [one["state"] for one in online["imports"]] == ["succeeded"]
    assert online == await alice.ok("GET", f"/datasets/{made['id']}"), "a change answers the document that GET has"
    imported, put_online = await place.events(made["id"])
    assert (imported.type, put_online.type) == ("dataset.imported", "dataset.online")
    assert (put_online.owner, put_online.actor, imported.actor) == ("alice", "alice", "alice")
    assert put_online.data["version"] == imported.data["version"]
    assert put_online.data["version"]["digest"] == version["digest"]
    assert put_online.data["version"]["train"]["address"] in await place.keys()

    snapshot = await place.desk("train-svc").ok("GET", f"/datasets/{made['id']}/snapshot")
    assert snapshot == put_online.data
