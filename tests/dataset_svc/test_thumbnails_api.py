"""Thumbnails over HTTP: made once, kept by their content, refused where there is no image."""

import io

import pytest
from PIL import Image

from tests.dataset_svc.conftest import TEXTS, pictures, png
from tests.dataset_svc.corpus.good import annotation, boxes
from tests.dataset_svc.test_annotated_samples import DETECT


def opened(answer) -> Image.Image:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return Image.open(io.BytesIO(answer.content), formats=["PNG"])


@pytest.mark.row("D5")
async def test_a_sample_has_a_thumbnail_that_never_changes(place, alice):
    made = await alice.filled(pictures(1, 1) | {"cat/大.PNG": png(7, (800, 400))})
    items = (await alice.ok("GET", f"/datasets/{made['id']}/samples"))["items"]
    [large] = [item for item in items if item["path"] == "cat/大.PNG"]
    url = large["thumbnail"].removeprefix("/api/v1")
    first = await alice.client.get(url)
    assert opened(first).size == (128, 64)
    assert first.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert opened(await alice.client.get(f"{url}&size=32")).size == (32, 16)
    assert (await alice.client.get(url, headers={"If-None-Match": first.headers["etag"]})).status_code == 304
    await place.context.makers.stop()
    assert (await alice.client.get(url)).content == first.content, "it is kept, no process is started again"
    assert place.context.makers._free == []
    path = f"/datasets/{made['id']}/samples/thumbnail"
    current = await alice.client.get(path, params={"path": "cat/大.PNG"})
    assert (current.content, current.headers["cache-control"]) == (first.content, "private, max-age=60")
    await alice.refused("GET", path, 404, "file_not_found", params={"path": "cat/99.png"})
    await alice.refused("GET", path, 422, "invalid_request", params={"path": "cat/大.PNG", "size": 5000})


@pytest.mark.row("D5")
async def test_boxes_are_drawn_on_it_if_wanted(alice):
    made = await alice.filled(boxes(annotation(segmentation=[])), **DETECT)
    path = f"/datasets/{made['id']}/samples/thumbnail?path=images/1.png&version=1"
    plain, drawn = await alice.client.get(path), await alice.client.get(f"{path}&draw=true")
    assert opened(plain).size == opened(drawn).size == (20, 10)
    assert plain.headers["etag"] != drawn.headers["etag"]
    assert opened(drawn).getpixel((1, 1)) != opened(plain).getpixel((1, 1))
    await alice.refused("GET", path.replace("images/1.png", "annotations/instances.json"), 404, "no_thumbnail")


@pytest.mark.row("D5")
async def test_a_text_has_none(alice):
    made = await alice.filled({"a/1.txt": b"x", "b/1.txt": b"yy"}, purpose=TEXTS)
    [one, _] = (await alice.ok("GET", f"/datasets/{made['id']}/samples"))["items"]
    assert one["thumbnail"] is None
    path = f"/datasets/{made['id']}/samples/thumbnail"
    for _ in range(2):
        await alice.refused("GET", path, 404, "no_thumbnail", params={"path": "a/1.txt"})
