"""Looking into a dataset: pages of samples, and the bytes of one."""

import hashlib

import pytest

from tests.dataset_svc.conftest import TEXTS, pictures, png


async def all_pages(desk, path: str, limit: int) -> list[str]:
    found, cursor = [], ""
    while True:
        page = await desk.ok("GET", f"{path}limit={limit}{cursor}")
        assert len(page["items"]) <= limit
        found += [item["path"] for item in page["items"]]
        if page["next_cursor"] is None:
            return found
        assert len(page["items"]) == limit
        cursor = f"&cursor={page['next_cursor']}"


@pytest.mark.row("D5")
async def test_samples_are_paged_by_class(alice):
    content = pictures(cats=7, dogs=5) | {"cat and dog/猫 1.png": png(50), "cats/1.png": png(51)}
    made = await alice.filled(content)
    path = f"/datasets/{made['id']}/samples"
    assert await all_pages(alice, f"{path}?", 3) == sorted(content)
    assert await all_pages(alice, f"{path}?", 500) == sorted(content)
    assert await all_pages(alice, f"{path}?class=cat&", 7) == [f"cat/{number}.png" for number in range(7)]
    assert await all_pages(alice, f"{path}?class=dog&", 2) == [f"dog/{number}.png" for number in range(5)]
    assert await all_pages(alice, f"{path}?class=cat%20and%20dog&", 2) == ["cat and dog/猫 1.png"]
    assert await all_pages(alice, f"{path}?class=bird&", 2) == []
    [first] = (await alice.ok("GET", f"{path}?class=cats"))["items"]
    digest = hashlib.sha256(content["cats/1.png"]).hexdigest()
    assert (first["class"], first["size"], first["sha256"]) == ("cats", len(content["cats/1.png"]), digest)


@pytest.mark.row("D5")
async def test_all_pages_are_of_one_version_whatever_is_imported_meanwhile(alice):
    made = await alice.filled(pictures(3, 3))
    path = f"/datasets/{made['id']}/samples"
    first = await alice.ok("GET", path, params={"limit": 4})
    await alice.imported(made["id"], {f"ant/{n}.png": png(50 + n) for n in range(6)})
    second = await alice.ok("GET", path, params={"limit": 4, "cursor": first["next_cursor"]})
    assert [one["path"] for one in (*first["items"], *second["items"])] == sorted(pictures(3, 3))
    assert second["next_cursor"] is None
    params = {"version": 2, "cursor": first["next_cursor"]}
    await alice.refused("GET", path, 400, "bad_cursor", params=params)


@pytest.mark.row("D5")
async def test_the_bytes_of_a_sample(alice):
    content = pictures() | {"cat and dog/猫 1.png": png(50)}
    made = await alice.filled(content)
    for item in (await alice.ok("GET", f"/datasets/{made['id']}/samples"))["items"]:
        answer = await alice.client.get(item["url"].removeprefix("/api/v1"))
        assert answer.content == content[item["path"]]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["content-length"] == str(item["size"])
        assert answer.headers["etag"] == f'"{item["sha256"]}"'


@pytest.mark.row("D5")
async def test_what_a_stranger_wrote_is_never_run_by_a_browser(alice):
    script = b"<script>alert(1)</script>"
    made = await alice.create(purpose=TEXTS)
    content = {"a/x.html": script, "a/x.svg": script, "b/\"'; x.txt": script}
    assert (await alice.imported(made["id"], content))["state"] == "succeeded"
    kinds = {".txt": "text/plain; charset=utf-8"}
    for item in (await alice.ok("GET", f"/datasets/{made['id']}/samples"))["items"]:
        answer = await alice.client.get(item["url"].removeprefix("/api/v1"))
        assert answer.content == script
        assert answer.headers["content-type"] == kinds.get(item["path"][-4:], "application/octet-stream")
        assert answer.headers["content-security-policy"].startswith("sandbox")


@pytest.mark.row("D5", "D12")
async def test_samples_of_an_earlier_version(alice):
    made = await alice.filled(pictures(cats=1, dogs=1))
    await alice.imported(made["id"], pictures(cats=2, dogs=1, shade=40))
    path = f"/datasets/{made['id']}/samples"
    assert len((await alice.ok("GET", path))["items"]) == 3
    [cat, _] = (await alice.ok("GET", f"{path}?version=1"))["items"]
    assert "version=1" in cat["url"]
    assert (await alice.client.get(cat["url"].removeprefix("/api/v1"))).content == png(0)
    assert (await alice.client.get(f"{path}/file?path=cat/0.png")).content == png(40)


async def test_what_is_not_there(alice):
    empty = await alice.create()
    await alice.refused("GET", f"/datasets/{empty['id']}/samples", 409, "dataset_empty")
    made = await alice.filled()
    path = f"/datasets/{made['id']}/samples"
    await alice.refused("GET", f"{path}?version=2", 404, "version_not_found")
    await alice.refused("GET", f"{path}?version=0", 422, "invalid_request")
    await alice.refused("GET", f"{path}?part=test", 404, "part_not_found")
    await alice.refused("GET", f"{path}?part=other", 422, "invalid_request")
    await alice.refused("GET", f"{path}?cursor=%ff", 400, "bad_cursor")
    await alice.refused("GET", f"{path}?cursor=a", 400, "bad_cursor")
    await alice.refused("GET", f"{path}/file", 422, "invalid_request")
    for name in ("cat/99.png", "", "../index", "/etc/passwd", "cat", "cat/0.png/"):
        await alice.refused("GET", f"{path}/file", 404, "file_not_found", params={"path": name})


@pytest.mark.row("D5")
async def test_samples_are_found_by_a_part_of_their_name(alice):
    content = pictures(cats=12, dogs=3) | {f"cat/子/猫 Nr{number}.PNG": png(50 + number) for number in range(3)}
    made = await alice.filled(content)
    path = f"/datasets/{made['id']}/samples"
    everything = [f"cat/子/猫 Nr{number}.PNG" for number in range(3)]
    assert await all_pages(alice, f"{path}?q=猫&", 2) == everything
    assert await all_pages(alice, f"{path}?q=nR&", 2) == everything
    assert await all_pages(alice, f"{path}?q=.png&", 500) == sorted(content)
    assert await all_pages(alice, f"{path}?q=1&class=cat&", 2) == [
        "cat/1.png",
        "cat/10.png",
        "cat/11.png",
        everything[1],
    ]
    assert await all_pages(alice, f"{path}?q=1&class=dog&", 2) == ["dog/1.png"]
    assert await all_pages(alice, f"{path}?q=cat&", 2) == [], "a folder is no file's name"
    assert await all_pages(alice, f"{path}?q=%20&", 500) == sorted(content)
    await alice.refused("GET", path, 422, "invalid_request", params={"q": "x" * 201})
