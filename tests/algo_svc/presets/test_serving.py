"""Replicas over real HTTP: the declared interface, the Open Inference Protocol v2, and bad input to both."""

import base64
import io
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image

from algo_svc import presets

INTERFACES = {preset.name: preset.definition["inference"]["interface"] for preset in presets.load_presets()}


@pytest.fixture(scope="module")
def texts(replica: Any, news_job: Any) -> Iterator[httpx2.Client]:
    with replica(news_job[0].code, news_job[0].results) as (client, _):
        yield client


@pytest.fixture(scope="module")
def images(replica: Any, digits_job: Any) -> Iterator[httpx2.Client]:
    with replica(digits_job[0].code, digits_job[0].results) as (client, _):
        yield client


@pytest.fixture(scope="module")
def held_out(digits: Path) -> list[Path]:
    return sorted((digits / "test").rglob("*.png"))[::40]


def _infer(client: httpx2.Client, name: str, body: Any) -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(f"/v2/models/{name}/infer", content=content)


@pytest.mark.row("S12")
def test_small_answers_leave_at_once() -> None:
    """An answer is two small writes: gathered (Nagle), the second would wait 40 ms for an acknowledgement."""
    from yardkit.serving import _listen

    with _listen("127.0.0.1", "0") as listening, socket.create_connection(listening.getsockname()):
        connection, _ = listening.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.row("A3", "A9", "S12")
def test_the_declared_text_interface_answers_its_test_value(texts: httpx2.Client) -> None:
    interface = INTERFACES["text-bayes"]
    value = interface["inputs"][0]["test_value"]
    response = texts.request(interface["method"], interface["path"], params={"text": value})
    assert response.status_code == 200
    answer = response.json()
    assert answer["label"] == "体育"
    assert set(answer["scores"]) == {"体育", "财经"}
    assert answer["score"] == answer["scores"]["体育"] == max(answer["scores"].values())
    assert sum(answer["scores"].values()) == pytest.approx(1)


@pytest.mark.row("A3", "A9", "S12")
def test_the_declared_image_interface_answers_its_test_value(images: httpx2.Client) -> None:
    interface = INTERFACES["image-classifier"]
    content = base64.b64decode(interface["inputs"][0]["test_value"])
    response = images.request(interface["method"], interface["path"], files={"image": ("three.png", content)})
    assert response.status_code == 200
    assert response.json()["label"] == "3"


@pytest.mark.parametrize(
    ("query", "why"),
    [("", "missing"), ("?text=", "empty"), ("?text=%20%20", "empty"), ("?text=a&text=b", "more than once")],
)
def test_bad_text_is_refused_in_words(texts: httpx2.Client, query: str, why: str) -> None:
    response = texts.post(f"/classification_param{query}")
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["input"] == "text"
    assert why in response.json()["detail"]


def test_bad_files_are_refused_in_words(images: httpx2.Client, held_out: list[Path]) -> None:
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40), dtype=np.uint8)).save(whole, "PNG")
    path = "/classify_image"
    answers = {
        "no image of a known format": images.post(path, files={"image": ("a.png", b"hello")}),
        "cut off": images.post(path, files={"image": ("a.png", whole.getvalue()[:600])}),
        "the file is empty": images.post(path, files={"image": ("a.png", b"")}),
        "it is missing": images.post(path, files={"picture": ("a.png", held_out[0].read_bytes())}),
        "not sent as a file": images.post(path, files={"image": (None, "text")}),
        "multipart/form-data": images.post(path, content=held_out[0].read_bytes()),
        "form can't be read": images.post(path, content=b"x", headers={"content-type": "multipart/form-data"}),
    }
    for why, response in answers.items():
        assert response.status_code == 422, (why, response.text)
        assert why in response.json()["detail"], response.text


def test_a_body_without_end_is_refused(images: httpx2.Client) -> None:
    response = images.post("/v2/models/image-classifier/infer", content=bytes(33 * 2**20))
    assert response.status_code == 413
    assert "larger than" in response.json()["error"]


def test_unknown_addresses_and_methods_answer_in_json(texts: httpx2.Client) -> None:
    assert texts.get("/nothing").json()["status"] == 404
    response = texts.get("/classification_param")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert "error" in texts.get("/v2/nothing").json()


@pytest.mark.row("A9")
@pytest.mark.parametrize("name", sorted(INTERFACES))
def test_the_protocol_describes_itself(name: str, request: pytest.FixtureRequest) -> None:
    client = request.getfixturevalue("texts" if name == "text-bayes" else "images")
    assert client.get("/health").status_code == 200
    assert {"name", "version", "extensions"} == set(client.get("/v2").json())
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get(f"/v2/models/{name}/ready").json() == {"name": name, "ready": True}
    about = client.get(f"/v2/models/{name}/versions/1").json()
    assert about == client.get(f"/v2/models/{name}").json()
    assert {"name", "versions", "platform", "inputs", "outputs"} == set(about)
    for tensor in about["inputs"] + about["outputs"]:
        assert {"name", "datatype", "shape"} == set(tensor)
    for path in ("/v2/models/other", "/v2/models/other/ready", f"/v2/models/{name}/versions/2"):
        assert client.get(path).status_code == 404
        assert "error" in client.get(path).json()


@pytest.mark.row("A9")
def test_texts_through_the_protocol(texts: httpx2.Client) -> None:
    tensor = {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["足球比赛", "银行利率"]}
    answer = _infer(texts, "text-bayes", {"id": "7", "inputs": [tensor]}).json()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("text-bayes", "1", "7")
    label, score, scores = answer["outputs"]
    assert label == {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["体育", "财经"]}
    assert (score["datatype"], score["shape"]) == ("FP32", [2])
    assert scores["shape"] == [2, 2]
    assert score["data"] == [max(scores["data"][:2]), max(scores["data"][2:])]
    only = _infer(texts, "text-bayes", {"inputs": [tensor], "outputs": [{"name": "label"}]}).json()
    assert [output["name"] for output in only["outputs"]] == ["label"]


@pytest.mark.row("A9")
def test_images_and_pixels_through_the_protocol_agree(images: httpx2.Client, held_out: list[Path]) -> None:
    from yardkit.images import read_image

    encoded = [base64.b64encode(path.read_bytes()).decode() for path in held_out]
    pixels = np.stack([read_image(path, 16, "gray") for path in held_out]).astype(float)
    count = len(held_out)
    bodies = [
        {"name": "image", "datatype": "BYTES", "shape": [count], "data": encoded},
        {"name": "pixels", "datatype": "FP32", "shape": [count, 16, 16], "data": pixels.tolist()},
        {"name": "pixels", "datatype": "FP32", "shape": [count, 16, 16], "data": pixels.ravel().tolist()},
    ]
    answers = [_infer(images, "image-classifier", {"inputs": [body]}).json()["outputs"] for body in bodies]
    assert answers[0] == answers[1] == answers[2]
    right = np.mean([label == path.parent.name for label, path in zip(answers[0][0]["data"], held_out, strict=True)])
    assert right >= 0.8


PIXELS = {"name": "pixels", "datatype": "FP32", "shape": [1, 16, 16], "data": [0] * 256}
BAD: list[tuple[Any, str]] = [
    (b"{", "no JSON"),
    (b"[" * 100_000, "no JSON"),
    ([], "must be a JSON object"),
    ({"inputs": []}, "exactly one input"),
    ({"inputs": [PIXELS, PIXELS]}, "exactly one input"),
    ({"inputs": [{**PIXELS, "name": "x"}]}, "is one of image, pixels"),
    ({"inputs": [{**PIXELS, "datatype": "FP64"}]}, "must be of datatype FP32"),
    ({"inputs": [{**PIXELS, "shape": [1, 8, 8]}]}, "must have the shape [-1, 16, 16]"),
    ({"inputs": [{**PIXELS, "shape": [0, 16, 16]}]}, "positive whole numbers"),
    ({"inputs": [{**PIXELS, "shape": [True, 16, 16]}]}, "positive whole numbers"),
    ({"inputs": [{**PIXELS, "shape": [10**30, 16, 16]}]}, "has 256 elements"),
    ({"inputs": [{**PIXELS, "data": [0] * 255}]}, "has 255 elements"),
    ({"inputs": [{**PIXELS, "data": ["0"] * 256}]}, "list of numbers"),
    ({"inputs": [{**PIXELS, "data": [[0, 1], [2]]}]}, "ragged"),
    ({"inputs": [{**PIXELS, "data": [1e300] * 256}]}, "not finite"),
    ({"inputs": [{**PIXELS, "data": [10**400] * 256}]}, "list of numbers"),
    ({"inputs": [{key: PIXELS[key] for key in ("name", "datatype", "shape")}]}, "no 'data'"),
    ({"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["?"]}]}, "not base64"),
    ({"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["aGVsbG8="]}]}, "no image"),
    ({"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [1]}]}, "list of strings"),
    ({"id": 7, "inputs": [PIXELS]}, "'id' must be a string"),
    ({"inputs": [PIXELS], "outputs": [{"name": "x"}]}, "'outputs' must be"),
]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_bad_requests_of_the_protocol_are_refused_in_words(images: httpx2.Client, number: int) -> None:
    body, why = BAD[number]
    response = _infer(images, "image-classifier", body)
    assert response.status_code == 400, response.text
    assert why in response.json()["error"]


def test_a_replica_is_small_and_needs_no_training_library(replica: Any, news_job: Any) -> None:
    with replica(news_job[0].code, news_job[0].results, MODEL_NAME="mine") as (client, process):
        assert client.get("/v2/models/mine/ready").status_code == 200
        about = Path(f"/proc/{process.pid}")
        resident = next(line for line in (about / "status").read_text().splitlines() if line.startswith("VmRSS"))
        assert int(resident.split()[1]) < 120 * 1024
        assert not any(name in (about / "maps").read_text() for name in ("/sklearn/", "/scipy/"))


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"PORT": "0"}, "MODEL_DIR is not set"),
        ({"PORT": "0", "MODEL_DIR": "/nonexistent"}, "no model can be read from /nonexistent"),
        ({"PORT": "http", "MODEL_DIR": ""}, "PORT must be a port number"),
    ],
)
def test_what_can_never_serve_says_so_and_ends(environment: dict[str, str], said: str, news_job: Any) -> None:
    job, _ = news_job
    if "MODEL_DIR" in environment and not environment["MODEL_DIR"]:
        environment = {**environment, "MODEL_DIR": str(job.results)}
    ended = subprocess.run(
        [sys.executable, "serve.py"],
        cwd=job.code,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
