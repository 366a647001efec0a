"""The web side of a preset's replica: health, the declared interface, and the Open Inference Protocol v2.

A preset brings a `Classifier` (what goes in, and probabilities for it) and a function that reads its input
from a request of the declared interface; everything else is the same for all.
"""

import json
import os
import signal
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import protocol
from .arrays import Array
from .process import Refused, say

LARGEST_BODY = 32 * 2**20
VERSION = "1"
# Longer than the gateway keeps idle connections, so that it is the gateway that closes them.
KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 10

LABEL = protocol.Spec("label", "BYTES", (-1,))
SCORE = protocol.Spec("score", "FP32", (-1,))


class BadInput(Exception):
    """An input of the declared interface is missing or unusable."""

    def __init__(self, name: str, why: str, status: int = 422) -> None:
        super().__init__(why)
        self.name, self.why, self.status = name, why, status


class Classifier(Protocol):
    """What a preset serves."""

    classes: list[str]
    inputs: list[protocol.Spec]

    def probabilities(self, name: str, values: protocol.Values) -> Array:
        """One row of class probabilities an element of the input `name`; raises `protocol.BadRequest`."""
        ...


ReadInput = Callable[[Request], Awaitable[tuple[str, protocol.Values]]]


def build(classifier: Classifier, interface: Mapping[str, Any], name: str, read: ReadInput) -> Starlette:
    """The application; `interface` is that of the algorithm's definition, `name` the model's in the protocol."""
    pages = _Pages(classifier, name, read)
    routes = [
        Route("/health", pages.health),
        Route(interface["path"], pages.declared, methods=[interface["method"]]),
        Route("/v2", pages.server),
        Route("/v2/health/live", pages.live),
        Route("/v2/health/ready", pages.server_ready),
    ]
    for base in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        routes += [Route(base, pages.metadata), Route(f"{base}/ready", pages.ready)]
        routes += [Route(f"{base}/infer", pages.infer, methods=["POST"])]
    handlers = {BadInput: _bad_input, HTTPException: _http_error, Exception: _broken}
    return Starlette(routes=routes, exception_handlers=handlers)


class _Pages:
    """One method a route. It is only built around a loaded model, so whatever answers is ready."""

    def __init__(self, classifier: Classifier, name: str, read: ReadInput) -> None:
        self._classifier, self._name, self._read = classifier, name, read
        self._scores = protocol.Spec("scores", "FP32", (-1, len(classifier.classes)))
        self._outputs = (LABEL, SCORE, self._scores)

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ready", "model": self._name})

    async def declared(self, request: Request) -> Response:
        given, values = await self._read(request)
        try:
            row = (await run_in_threadpool(self._classifier.probabilities, given, values))[0]
        except protocol.BadRequest as reason:
            raise BadInput(given, str(reason)) from None
        classes, best = self._classifier.classes, int(row.argmax())
        by_class = dict(zip(classes, row.tolist(), strict=True))
        return JSONResponse({"label": classes[best], "score": float(row[best]), "scores": by_class})

    async def server(self, request: Request) -> Response:
        return JSONResponse({"name": "modelyard-preset", "version": VERSION, "extensions": []})

    async def live(self, request: Request) -> Response:
        return JSONResponse({"live": True})

    async def server_ready(self, request: Request) -> Response:
        return JSONResponse({"ready": True})

    async def metadata(self, request: Request) -> Response:
        self._known(request)
        outputs = [spec.described() for spec in self._outputs]
        inputs = [spec.described() for spec in self._classifier.inputs]
        about = {"name": self._name, "versions": [VERSION], "platform": "modelyard-preset"}
        return JSONResponse({**about, "inputs": inputs, "outputs": outputs})

    async def ready(self, request: Request) -> Response:
        self._known(request)
        return JSONResponse({"name": self._name, "ready": True})

    async def infer(self, request: Request) -> Response:
        self._known(request)
        body = b"".join([chunk async for chunk in limited(request)])
        try:
            asked = protocol.parse(body, self._classifier.inputs, self._outputs)
            rows = await run_in_threadpool(self._classifier.probabilities, asked.name, asked.values)
        except protocol.BadRequest as reason:
            return JSONResponse({"error": str(reason)}, 400)
        model = {"model_name": self._name, "model_version": VERSION}
        return JSONResponse(protocol.answer(asked, model, self._tensors(rows)))

    def _tensors(self, rows: Array) -> dict[protocol.Spec, protocol.Values]:
        labels = [self._classifier.classes[number] for number in rows.argmax(axis=1)]
        return {LABEL: labels, SCORE: _fp32(rows.max(axis=1)), self._scores: _fp32(rows)}

    def _known(self, request: Request) -> None:
        """404 for another model or version than the one served."""
        if request.path_params["name"] != self._name:
            raise HTTPException(404, f"no model {request.path_params['name']!r} here, only {self._name!r}")
        if request.path_params.get("version", VERSION) != VERSION:
            raise HTTPException(404, f"the model {self._name!r} has only version {VERSION}")


def _fp32(values: Array) -> Array:
    return values.astype(np.float32)


async def limited(request: Request) -> AsyncGenerator[bytes]:
    """The body, chunk by chunk; 413 as soon as it is more than `LARGEST_BODY` bytes."""
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > LARGEST_BODY:
            raise HTTPException(413, f"the body is larger than {LARGEST_BODY} bytes")
        yield chunk


def _problem(status: int, code: str, detail: str, **more: Any) -> Response:
    """RFC 9457."""
    body = {
        "type": "about:blank",
        "title": code.replace("_", " "),
        "status": status,
        "code": code,
        "detail": detail,
        **more,
    }
    return JSONResponse(body, status, media_type="application/problem+json")


async def _bad_input(request: Request, error: Exception) -> Response:
    assert isinstance(error, BadInput)
    return _problem(error.status, "bad_input", f"input {error.name!r}: {error.why}", input=error.name)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if request.url.path.startswith("/v2"):
        return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
    response = _problem(error.status_code, "http_error", error.detail)
    response.headers.update(error.headers or {})
    return response


async def _broken(request: Request, error: Exception) -> Response:
    """The cause goes to the log (Starlette raises it again), never to the caller."""
    detail = "the model failed on this input; the replica's log says why"
    if request.url.path.startswith("/v2"):
        return JSONResponse({"error": detail}, 500)
    return _problem(500, "internal_error", detail)


def definition(path: Path) -> Any:
    """The algorithm's definition, of which the program beside it is a part."""
    return json.loads(path.read_text(encoding="utf-8"))


def model_folder(environment: Mapping[str, str]) -> Path:
    """MODEL_DIR; raises `Refused` where it isn't set."""
    if not environment.get("MODEL_DIR"):
        raise Refused("the environment variable MODEL_DIR is not set: it names the folder of the trained model")
    return Path(environment["MODEL_DIR"])


def serve(app: Starlette, environment: Mapping[str, str]) -> None:
    """Listen on HOST (127.0.0.1 unless set) and PORT until SIGTERM, then finish what is running."""
    listening = _listen(environment.get("HOST") or "127.0.0.1", environment.get("PORT", ""))
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    # uvicorn raises the signal once more when it has ended gracefully: that is the moment to end well.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    host, port = listening.getsockname()[:2]
    say(f"ready on http://{f'[{host}]' if ':' in host else host}:{port}")
    uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: str) -> socket.socket:
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise Refused(f"the environment variable PORT must be a port number, not {port!r}")
    try:
        family = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, int(port)), family=family, backlog=2048)
        # Connections inherit it: asyncio does not set it here, and an answer, two small writes, would take 40 ms.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as reason:
        raise Refused(f"can't listen on {host} port {port}: {reason.strerror or reason}") from None
