"""A small platform for the client's tests: it speaks the API over a real socket, remembers what was asked, and can be
told to break off."""

from __future__ import annotations

import hashlib
import io
import json
import re
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN, KEY = "token-of-alice", "key-of-alice"
NOW = "2026-11-21T02:00:00Z"
PART = 1000
CLASSES = [str(n) for n in range(10)]


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else {}


@dataclass
class Answer:
    """What to answer; `stream` pieces are sent one by one."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    stream: list[str] | None = None


DEVICE = {"id": "gpu-0", "kind": "gpu", "model": "sim", "simulated": True, "busy": False, "allocation": None}
NODE = {
    "name": "here",
    "cluster": "default",
    "state": "ready",
    "cpu": 2,
    "memory": 4 << 30,
    "devices": [DEVICE, {**DEVICE, "id": "gpu-1", "busy": True, "missing": "2026-01-01T00:00:00Z", "lost": True}],
    "cpu_free": 1,
    "memory_free": 1,
    "labels": {"disk": "nvme"},
}
QUEUE: dict[str, Any] = {
    "id": "vision",
    "name": "vision",
    "group": "vision",
    "guaranteed": {"gpu": 4, "memory": 64 << 30},
    "maximum": {},
    "borrowing": None,
    "cohort": None,
    "weight": 1.0,
    "used": {"cpu": 1.5},
    "granted": 1,
    "waiting_total": 2,
    "waiting": [],
}
SPEC = {"name": "small", "cluster": None, "count": 1, "meaning": {"default": "1 CPU and 1 GPU"}, "source": "built in"}

Route = Callable[..., Answer]
ROUTES: list[tuple[str, re.Pattern[str], str]] = []


def on(method: str, pattern: str) -> Callable[[Route], Route]:
    compiled = re.compile("^" + re.sub(r"\{\w+\}", r"([^/]+)", pattern) + "$")

    def keep(route: Route) -> Route:
        ROUTES.append((method, compiled, route.__name__))
        return route

    return keep


def problem(status: int, code: str, detail: str, faults: list[dict[str, str]] | None = None) -> Answer:
    body = {"type": f"urn:modelyard:problem:{code}", "title": "t", "status": status, "code": code, "detail": detail}
    return Answer(status, body | ({"faults": faults} if faults else {}), {"Content-Type": "application/problem+json"})


def page(items: list[Any]) -> Answer:
    return Answer(body={"items": items, "next_cursor": None})


def event(name: str, data: Any, id: int | None = None) -> str:
    return (f"id: {id}\n" if id is not None else "") + f"event: {name}\ndata: {json.dumps(data)}\n\n"


DETAILS = {
    "part": "train",
    "files": 3,
    "bytes": 99,
    "classes": [{"name": "cat", "files": 2, "objects": 5}, {"name": "dog", "files": 1, "objects": 1}],
    "images": {
        "width": {
            "min": 8,
            "max": 25,
            "mean": 14.0,
            "median": 8,
            "histogram": [{"from": 0, "to": 9, "count": 2}, {"from": 20, "to": 29, "count": 1}],
        },
        "common": [{"width": 8, "height": 8, "files": 2}],
    },
    "together": [{"classes": ["cat", "dog"], "files": 1}],
    "related": [{"from": "Person", "class": "LivesIn", "to": "Place", "count": 1}],
    "unannotated": 0,
}


class Stub:
    """The platform's memory and routes. `breaks` are the (method, path pattern, how often, before) at which the
    connection is cut: before the work is done, or after it, when the answer is lost."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.breaks: list[list[Any]] = []
        self.aways: list[tuple[str, re.Pattern[str]]] = []
        self.made: dict[tuple[str, str], Answer] = {}
        self.count = 0
        self.things: dict[str, dict[str, dict[str, Any]]] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.accuracy = 0.97
        self.job_state = "succeeded"
        self.labels: list[tuple[bytes, str]] = []
        self.forgets_keys = 0
        self.import_fails = False
        self.stands_still = False
        self.store_at = ""
        """Where links lead; empty: there are none."""
        self.store_refuses: dict[str, int] = {}
        """Statuses with which the store refuses what is put, by a part of its path, once each."""
        self.minds_states = False
        self.silent: list[str] = []
        self.result_content = b"json"
        self.result_digest = ""
        self.result_link: dict[str, Any] = {}
        self.lock = threading.RLock()
        algorithm = self.add("algorithms", "algo", name="image-classifier", online=True, state="ready")
        algorithm |= {"visibility": "preset", "purpose": "image/classification", "formats": ["dir"]}
        parameters = [
            {"name": "epochs", "type": "integer", "default": 20},
            {"name": "learning_rate", "type": "number", "default": 0.002},
            {"name": "color", "type": "string", "default": "gray"},
            {"name": "augment", "type": "boolean", "default": False},
        ]
        algorithm["training"] = {"engine": "sklearn-1.9", "parameters": parameters, "command": ["python", "train.py"]}
        self.add("users", "usr", name="alice", role="admin", state="active")
        self.engine: dict[str, Any] = {"name": "sklearn-1.9", "framework": "scikit-learn", "version": "1.9"}
        self.engine |= {"state": "absent", "progress": 0.0, "detail": "", "digest": ""}

    def add(self, kind: str, sort: str, /, **fields: Any) -> dict[str, Any]:
        self.count += 1
        id = f"{sort}-{self.count:026}"
        thing = {"id": id, "owner": "alice", "version": 1, "created_at": NOW, "updated_at": NOW, **fields}
        self.things.setdefault(kind, {})[id] = thing
        return thing

    def calls(self, method: str, pattern: str = "") -> list[Asked]:
        return [one for one in self.asked if one.method == method and re.search(pattern, one.path)]

    def break_at(self, method: str, pattern: str, times: int = 1, *, before: bool = False) -> None:
        self.breaks.append([method, re.compile(pattern), times, before])

    def away_at(self, method: str, pattern: str, times: int) -> None:
        """Let the service behind the gateway be away so many times."""
        self.aways += [(method, re.compile(pattern))] * times

    def is_away(self, asked: Asked) -> bool:
        for one in self.aways:
            if one[0] == asked.method and one[1].search(asked.path):
                self.aways.remove(one)
                return True
        return False

    def should_break(self, asked: Asked, before: bool) -> bool:
        for one in self.breaks:
            if one[0] == asked.method and one[1].search(asked.path) and one[2] > 0 and one[3] == before:
                one[2] -= 1
                return True
        return False

    def answer(self, asked: Asked) -> Answer:
        secret = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if asked.path.startswith("/store/"):
            return self.put_by_link(asked)
        if asked.path != "/api/v1/login" and secret not in (TOKEN, KEY):
            return problem(401, "no_token", "This needs a login.")
        if self.is_away(asked):
            return problem(503, "service_unavailable", "train-svc is away.")
        key = (asked.path, asked.headers.get("idempotency-key", ""))
        if key[1] and key in self.made:
            return self.made[key]
        for method, pattern, name in ROUTES:
            if method == asked.method and (found := pattern.match(asked.path)):
                answer: Answer = getattr(self, name)(asked, *(unquote(group) for group in found.groups()))
                if key[1]:
                    self.made[key] = answer
                return answer
        return self.generic(asked)

    def generic(self, asked: Asked) -> Answer:
        """Lists, single resources, edits and deletions of anything."""
        found = re.match(r"^/api/v1/([a-z-]+)(?:/([^/]+))?$", asked.path)
        if not found or asked.method == "POST":
            return problem(404, "not_found", f"There is nothing at {asked.path}.")
        kind, id = found.groups()
        things = self.things.get(kind, {})
        if id is None:
            wanted = asked.query.get("q", "")
            matching = [one for one in things.values() if wanted in one.get("name", "")]
            limit, at = int(asked.query.get("limit", 50)), int(asked.query.get("cursor", 0))
            after = str(at + limit) if at + limit < len(matching) else None
            return Answer(body={"items": matching[at : at + limit], "next_cursor": after})
        if id not in things:
            return problem(404, f"{kind}_not_found", f"There is no {id} that you may see.")
        if asked.method == "DELETE":
            del things[id]
            return Answer(204)
        if asked.method == "PATCH":
            things[id] |= asked.json | {"version": things[id]["version"] + 1}
        return Answer(body=things[id])

    # people
    @on("POST", "/api/v1/login")
    def login(self, asked: Asked) -> Answer:
        if asked.json["password"] != "right":
            return problem(401, "bad_login", "The name or the password is wrong.")
        return Answer(body={"token": TOKEN, "expires_at": NOW, "user": {"name": asked.json["name"]}})

    @on("GET", "/api/v1/users/me")
    def me(self, asked: Asked) -> Answer:
        return Answer(body=next(iter(self.things["users"].values())))

    @on("POST", "/api/v1/users")
    def add_user(self, asked: Asked) -> Answer:
        return Answer(201, self.add("users", "usr", name=asked.json["name"], role=asked.json["role"], state="active"))

    @on("PUT", "/api/v1/users/{id}/{what}")
    def change_user(self, asked: Asked, id: str, what: str) -> Answer:
        user = self.things["users"].get(id) or next(iter(self.things["users"].values()))
        user |= {"role": asked.json["role"]} if what == "role" else {}
        return Answer(body=user)

    @on("POST", "/api/v1/users/{id}/{verb}")
    def user_verb(self, asked: Asked, id: str, verb: str) -> Answer:
        user = self.things["users"][id]
        user["state"] = {"enable": "active", "disable": "disabled"}[verb]
        return Answer(body=user)

    @on("POST", "/api/v1/api-keys")
    def add_key(self, asked: Asked) -> Answer:
        made = self.add("api-keys", "key", name=asked.json["name"], prefix="yk_abc", state="active")
        self.forgets_keys -= 1
        return Answer(201, made | {"key": None if self.forgets_keys >= 0 else KEY})

    # datasets
    @on("POST", "/api/v1/datasets")
    def add_dataset(self, asked: Asked) -> Answer:
        body = asked.json
        if not body["name"]:
            faults = [{"where": "name", "reason": "It is empty."}, {"where": "purpose", "reason": "Unknown."}]
            return problem(422, "invalid_dataset", "The dataset has 2 faults.", faults)
        made = self.add("datasets", "ds", state="empty", online=False, current_version=None, imports=[], **body)
        return Answer(201, made)

    @on("POST", "/api/v1/datasets/{id}/uploads")
    def add_upload(self, asked: Asked, dataset: str) -> Answer:
        direct = bool(asked.json.get("direct") and self.store_at)
        fields = {"part_size": PART, "size": asked.json["size"], "state": "open", "import_id": None, "direct": direct}
        made = self.add("uploads", "up", dataset_id=dataset, arrived=[], **fields)
        self.parts[made["id"]] = {}
        return Answer(201, dict(made))

    @on("POST", "/api/v1/datasets/{id}/uploads/{up}/links")
    def ask_links(self, asked: Asked, dataset: str, upload: str) -> Answer:
        items = [
            {"number": n, "size": PART, "url": f"{self.store_at}/store/{upload}/{n}"} for n in asked.json["numbers"]
        ]
        return Answer(body={"items": items, "expires_at": NOW})

    def put_by_link(self, asked: Asked) -> Answer:
        assert "authorization" not in asked.headers, "the store is never shown who we are"
        for path, status in list(self.store_refuses.items()):
            if path in asked.path:
                del self.store_refuses[path]
                return Answer(status, raw=b"<Error/>")
        _, _, upload, number = asked.path.split("/")
        self.parts[upload][int(number)] = asked.body
        return Answer(200, raw=b"")

    @on("DELETE", "/api/v1/datasets/{id}/uploads/{up}")
    def abort_upload(self, asked: Asked, dataset: str, upload: str) -> Answer:
        self.things["uploads"][upload]["state"] = "aborted"
        return Answer(204)

    @on("GET", "/api/v1/datasets/{id}/uploads/{up}")
    def show_upload(self, asked: Asked, dataset: str, upload: str) -> Answer:
        arrived = [
            {"number": n, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for n, content in sorted(self.parts[upload].items())
        ]
        return Answer(body=self.things["uploads"][upload] | {"arrived": arrived})

    @on("PUT", "/api/v1/datasets/{id}/uploads/{up}/parts/{n}")
    def put_part(self, asked: Asked, dataset: str, upload: str, number: str) -> Answer:
        digest = hashlib.sha256(asked.body).hexdigest()
        if asked.headers.get("x-content-sha256") != digest:
            return problem(422, "checksum_mismatch", "The part is damaged.")
        self.parts[upload][int(number)] = asked.body
        return Answer(body={"number": int(number), "size": len(asked.body), "sha256": digest})

    @on("POST", "/api/v1/datasets/{id}/uploads/{up}/complete")
    def complete(self, asked: Asked, dataset: str, upload: str) -> Answer:
        size, parts = self.things["uploads"][upload]["size"], self.parts[upload]
        if len(parts) * PART < size:
            return problem(409, "upload_incomplete", "Parts are missing.")
        whole = b"".join(content for _, content in sorted(parts.items()))
        if asked.json["sha256"] != hashlib.sha256(whole).hexdigest():
            return problem(422, "checksum_mismatch", "The archive is damaged.")
        seen = self.things["uploads"][upload]
        if seen["import_id"] is None:
            fields = {"state": "queued", "phase": "queued", "progress": 0.0, "dataset_id": dataset, "part": "train"}
            begun = self.add("imports", "imp", report=None, version_number=None, files_done=0, **fields)
            seen |= {"state": "completed", "import_id": begun["id"]}
        return Answer(202, self.things["imports"][seen["import_id"]])

    @on("GET", "/api/v1/datasets/{id}/imports")
    def list_imports(self, asked: Asked, dataset: str) -> Answer:
        return page(list(self.things.get("imports", {}).values()))

    @on("GET", "/api/v1/datasets/{id}/imports/{imp}")
    def show_import(self, asked: Asked, dataset: str, import_id: str) -> Answer:
        seen = self.things["imports"][import_id]
        if self.stands_still:
            return Answer(body=seen)
        if seen["state"] == "queued":
            seen |= {"state": "running", "phase": "checking", "progress": 0.5}
        elif self.import_fails:
            fault = {"severity": "error", "code": "no_image", "file": "3/x.png", "reason": "It is no image."}
            report = {"ok": False, "faults": [fault], "totals": {"errors": 1, "warnings": 0}}
            seen |= {"state": "failed", "report": report, "code": "no_image", "reason": "3/x.png: it is no image."}
        else:
            seen |= {"state": "succeeded", "progress": 1.0, "version_number": 1, "files_done": 1787}
            version = {"number": 1, "digest": "sha256:" + "a" * 64, "files": 1787, "bytes": 250000, "classes": {"0": 9}}
            self.things["datasets"][dataset] |= {"state": "offline", "current_version": version}
        return Answer(body=seen)

    @on("POST", "/api/v1/datasets/{id}/imports/{imp}/cancel")
    def cancel_import(self, asked: Asked, dataset: str, import_id: str) -> Answer:
        self.things["imports"][import_id]["state"] = "cancelled"
        return Answer(body=self.things["imports"][import_id])

    @on("GET", "/api/v1/datasets/{id}/versions")
    def versions(self, asked: Asked, dataset: str) -> Answer:
        version = self.things["datasets"][dataset]["current_version"]
        return page([version] if version else [])

    @on("PATCH", "/api/v1/datasets/{id}/versions/{n}")
    def edit_version(self, asked: Asked, dataset: str, number: str) -> Answer:
        return Answer(body={"number": int(number), "name": "", "description": "", **asked.json})

    @on("GET", "/api/v1/datasets/{id}/versions/{a}/diff/{b}")
    def diff(self, asked: Asked, dataset: str, before: str, after: str) -> Answer:
        moved = {"kind": "renamed", "path": "a/1.png", "earlier_path": "b/1.png", "size": 9, "earlier_size": 9}
        totals = {"added": {"files": 0, "bytes": 0}, "renamed": {"files": 1, "bytes": 9}}
        return Answer(body={"same": False, "totals": totals, "items": [moved], "next_cursor": None})

    @on("GET", "/api/v1/datasets/{id}/uses")
    def uses(self, asked: Asked, dataset: str) -> Answer:
        job = {"kind": "job", "id": "job-1", "name": "training", "owner": "alice", "state": "running"}
        return Answer(body={"items": [job], "others": 2, "unknown": ["notebook-svc"], "more": False})

    @on("GET", "/api/v1/datasets/{id}/history")
    def history(self, asked: Asked, dataset: str) -> Answer:
        edited = {"deed": "renamed", "at": NOW, "actor": "alice", "changes": {"name": ["a", "b"]}, "detail": {}}
        return page([edited, {"deed": "created", "at": NOW, "actor": "alice", "changes": {}, "detail": {}}])

    @on("GET", "/api/v1/datasets/{id}/samples")
    def samples(self, asked: Asked, dataset: str) -> Answer:
        return page([{"path": "3/0001.png", "class": "3", "size": 99, "sha256": "ab", "url": "/x"}])

    # sources
    @on("POST", "/api/v1/sources")
    def add_source(self, asked: Asked) -> Answer:
        told = {**asked.json, "credentials": sorted(asked.json["credentials"])}
        return Answer(201, self.add("sources", "src", **told))

    @on("GET", "/api/v1/sources/{id}/files")
    def look_into(self, asked: Asked, source: str) -> Answer:
        return page([{"path": "cat/1.png", "size": 99}])

    @on("PUT", "/api/v1/sources/{id}/credentials")
    def put_credentials(self, asked: Asked, source: str) -> Answer:
        return Answer(body=self.things["sources"][source] | {"credentials": sorted(asked.json["credentials"])})

    @on("POST", "/api/v1/datasets/{id}/imports")
    def import_from(self, asked: Asked, dataset: str) -> Answer:
        fields = {"state": "queued", "phase": "queued", "progress": 0.0, "dataset_id": dataset, "part": "train"}
        return Answer(202, self.add("imports", "imp", report=None, version_number=None, files_done=0, **fields))

    @on("GET", "/api/v1/datasets/{id}/samples/thumbnail")
    def thumbnail(self, asked: Asked, dataset: str) -> Answer:
        return Answer(raw=b"png")

    @on("GET", "/api/v1/datasets/{id}/versions/{number}/details")
    def details(self, asked: Asked, dataset: str, number: str) -> Answer:
        return Answer(body=DETAILS | {"version": int(number)})

    # formatted sets
    @on("POST", "/api/v1/formatted-sets")
    def create_set(self, asked: Asked) -> Answer:
        return Answer(202, self.add("formatted-sets", "set", **{"name": "new", **asked.json, "state": "ready"}))

    @on("POST", "/api/v1/formatted-sets/{id}/complement")
    def complement(self, asked: Asked, id: str) -> Answer:
        return Answer(202, self.add("formatted-sets", "set", name="the rest", state="ready"))

    @on("GET", "/api/v1/formatted-sets/{id}/files")
    def set_files(self, asked: Asked, id: str) -> Answer:
        return page([{"path": "data.mdb", "size": 3, "sha256": hashlib.sha256(b"mdb").hexdigest()}])

    @on("GET", "/api/v1/formatted-sets/{id}/files/file")
    def set_file(self, asked: Asked, id: str) -> Answer:
        return Answer(raw=b"mdb")

    @on("PUT", "/api/v1/{kind}/{id}/visibility")
    def visibility(self, asked: Asked, kind: str, id: str) -> Answer:
        self.things[kind][id] |= asked.json
        return Answer(body=self.things[kind][id])

    # algorithms and engines
    @on("POST", "/api/v1/algorithms")
    def add_algorithm(self, asked: Asked) -> Answer:
        return Answer(201, self.add("algorithms", "algo", state="draft", online=False, **asked.json))

    @on("PUT", "/api/v1/algorithms/{id}/code/{part}")
    def put_code(self, asked: Asked, id: str, part: str) -> Answer:
        names = zipfile.ZipFile(io.BytesIO(asked.body)).namelist()
        self.things["algorithms"][id][f"{part}_code"] = {"files": len(names), "bytes": len(asked.body), "digest": "d"}
        return Answer(body=self.things["algorithms"][id])

    @on("GET", "/api/v1/algorithms/{id}/code/{part}")
    def get_code(self, asked: Asked, id: str, part: str) -> Answer:
        return Answer(raw=b"PK code", headers={"Content-Type": "application/zip"})

    @on("GET", "/api/v1/engines")
    def list_engines(self, asked: Asked) -> Answer:
        return page([self.engine])

    @on("GET", "/api/v1/engines/{name}")
    def show_engine(self, asked: Asked, name: str) -> Answer:
        if self.engine["state"] == "building":
            self.engine |= {"state": "ready", "progress": 1.0}
        return Answer(body=dict(self.engine))

    @on("POST", "/api/v1/engines/{name}/build")
    def build(self, asked: Asked, name: str) -> Answer:
        self.engine |= {"state": "building", "progress": 0.3, "detail": "installing"}
        return Answer(202, dict(self.engine))

    # jobs
    @on("POST", "/api/v1/jobs")
    def add_job(self, asked: Asked) -> Answer:
        if asked.json.get("parameters", {}).get("nonsense"):
            return problem(
                422, "unknown_parameter", "No parameter nonsense.", [{"where": "nonsense", "reason": "Unknown."}]
            )
        state = "queued" if asked.json["start"] else "draft"
        fields = {"name": asked.json["name"], "state": state, "reason": None, "attempt": 1, "progress": 0.0}
        return Answer(201, self.add("jobs", "job", model_id=None, evaluation=None, asked=asked.json, **fields))

    @on("GET", "/api/v1/jobs/{id}")
    def show_job(self, asked: Asked, id: str) -> Answer:
        job = self.things["jobs"].get(id)
        if job is None:
            return problem(404, "job_not_found", f"There is no job {id}.")
        if job["state"] == "queued":
            job["state"] = "running"
        elif job["state"] == "running":
            self.end(job)
        return Answer(body=job)

    def end(self, job: dict[str, Any]) -> None:
        job |= {"state": self.job_state, "reason": "completed", "detail": "it ended", "progress": 1.0}
        if self.job_state == "succeeded":
            lineage = {"dataset_version": 1, "algorithm_name": "image-classifier", "parameters": {"epochs": 3}}
            model = self.add("models", "model", name=job["name"], files=3, bytes=9000, lineage=lineage)
            model |= {"job_id": job["id"], "metrics": {"accuracy": self.accuracy}, "services": []}
            measured = {name: {"precision": 0.97, "recall": 0.96, "f1": 0.965, "support": 36} for name in CLASSES}
            matrix = [[35 if a == b else int(b == a + 1) for b in range(10)] for a in range(10)]
            evaluation = {"accuracy": self.accuracy, "loss": 0.1, "classes": CLASSES, "per_class": measured}
            evaluation |= {"confusion_matrix": matrix, "evaluated_on": "test", "samples": 360}
            job |= {"model_id": model["id"], "evaluation": evaluation, "metrics": {"accuracy": self.accuracy}}

    @on("POST", "/api/v1/jobs/{id}/start")
    def start_job(self, asked: Asked, id: str) -> Answer:
        self.things["jobs"][id] |= {"state": "queued", "attempt": self.things["jobs"][id]["attempt"] + 1}
        return Answer(202, self.things["jobs"][id])

    @on("POST", "/api/v1/jobs/{id}/stop")
    def stop_job(self, asked: Asked, id: str) -> Answer:
        self.things["jobs"][id]["state"] = "stopped"
        return Answer(202, self.things["jobs"][id])

    @on("GET", "/api/v1/jobs/{id}/attempts")
    def attempts(self, asked: Asked, id: str) -> Answer:
        return page([{"number": 1, "phase": "ended", "reason": "completed", "exit_code": 0, "started_at": NOW}])

    @on("GET", "/api/v1/jobs/{id}/log")
    def log(self, asked: Asked, id: str) -> Answer:
        text = b"epoch 1\nepoch 2\n"[int(asked.query.get("offset", 0)) :]
        return Answer(raw=text, headers={"Content-Type": "text/plain; charset=utf-8", "X-Next-Offset": "16"})

    @on("GET", "/api/v1/jobs/{id}/log/stream")
    def log_stream(self, asked: Asked, id: str) -> Answer:
        pieces = [event("log", {"text": "epoch 1\n"}, 8), event("log", {"text": "epoch 2\n"}, 16)]
        at = int(asked.query.get("offset", 0)) // 8
        return Answer(stream=[*pieces[at:], event("end", {"state": "succeeded"})])

    @on("GET", "/api/v1/jobs/{id}/metrics")
    def metrics(self, asked: Asked, id: str) -> Answer:
        series = {"accuracy": [[n, 0.5 + n / 50] for n in range(1, 21)], "loss": [[n, 2 / n] for n in range(1, 21)]}
        return Answer(body={"attempt": 1, "series": series})

    @on("GET", "/api/v1/jobs/{id}/metrics/stream")
    def metrics_stream(self, asked: Asked, id: str) -> Answer:
        points = [event("metrics", {"step": n, "accuracy": 0.5 + n / 50, "loss": 2 / n}, n) for n in range(1, 21)]
        return Answer(stream=[*points, event("end", {"state": "succeeded"})])

    @on("GET", "/api/v1/jobs/{id}/results")
    def results(self, asked: Asked, id: str) -> Answer:
        content = self.result_content if self.result_link else b"json"
        digest = self.result_digest or hashlib.sha256(content).hexdigest()
        return page([{"path": "sub/model.json", "size": len(content), "sha256": digest}])

    @on("GET", "/api/v1/jobs/{id}/results/file")
    def result(self, asked: Asked, id: str) -> Answer:
        if asked.query.get("link"):
            return Answer(body=self.result_link | {"size": len(self.result_content), "expires_at": NOW})
        return Answer(raw=self.result_content)

    @on("GET", "/api/v1/{kind}/{id}/{zip}.zip")
    def all_files(self, asked: Asked, kind: str, id: str, zip: str) -> Answer:
        return Answer(raw=b"PK" * 500)

    # models and services
    @on("POST", "/api/v1/models/{id}/publish")
    def publish(self, asked: Asked, id: str) -> Answer:
        inputs = [{"name": "image", "type": "File", "required": True}]
        interface = {"name": "classify_image", "method": "POST", "path": "/classify_image", "style": "file"}
        fields = {"state": "stopped", "replicas": 0, "ready": 0, "interface": interface | {"inputs": inputs}}
        made = self.add("services", "svc", name=asked.json["service_name"], model_id=id, **fields)
        made["address"] = f"/serve/{made['id']}/"
        return Answer(202, self.things["models"][id] | {"service_id": made["id"]})

    @on("GET", "/api/v1/models/{id}/{what}")
    def about_model(self, asked: Asked, id: str, what: str) -> Answer:
        return (
            page([{"path": "model.json", "size": 4, "sha256": ""}]) if what == "files" else Answer(body={"job_id": "j"})
        )

    @on("GET", "/api/v1/services/{id}")
    def show_service(self, asked: Asked, id: str) -> Answer:
        service = self.things["services"].get(id)
        if service is None:
            return problem(404, "service_not_found", f"There is no service {id}.")
        if service["ready"] < service["replicas"]:
            service |= {"ready": service["ready"] + 1, "state": "running"}
        return Answer(body=service)

    @on("POST", "/api/v1/services/{id}/test")
    def test_service(self, asked: Asked, id: str) -> Answer:
        answer = {"label": "3", "score": 0.99}
        return Answer(body={"status": 200, "latency_ms": 3.25, "request": asked.json, "response": answer})

    @on("POST", "/api/v1/services/{id}/{verb}")
    def service_verb(self, asked: Asked, id: str, verb: str) -> Answer:
        service = self.things["services"][id]
        if verb == "stop":
            service |= {"state": "stopped", "replicas": 0, "ready": 0}
        else:
            service |= {"state": "starting", "replicas": asked.json["replicas"]}
        return Answer(202, service)

    @on("GET", "/api/v1/services/{id}/replicas")
    def replicas(self, asked: Asked, id: str) -> Answer:
        return page([{"id": "rep-1", "state": "running", "ready": True, "address": "http://127.0.0.1:1"}])

    @on("GET", "/api/v1/services/{id}/replicas/{rep}/log")
    def replica_log(self, asked: Asked, id: str, replica: str) -> Answer:
        return Answer(raw=b"listening\n")

    @on("POST", "/serve/{id}/classify_image")
    def classify(self, asked: Asked, id: str) -> Answer:
        if not self.things["services"][id]["ready"]:
            return problem(503, "service_stopped", "The service is stopped. Start it.")
        label = next((label for png, label in self.labels if png in asked.body), "?")
        return Answer(body={"label": label, "score": 0.987}, headers={"X-Yard-Replica": f"rep-{len(self.asked) % 2}"})

    # online and offline
    @on("POST", "/api/v1/{kind}/{id}/online")
    def online(self, asked: Asked, kind: str, id: str) -> Answer:
        if self.minds_states and self.things[kind][id].get("online"):
            refused = problem(409, "illegal_state", "The thing is online: it can't go online now.")
            refused.body["state"] = "online"
            return refused
        self.things[kind][id] |= {"online": True, "version": self.things[kind][id]["version"] + 1}
        return Answer(body=self.things[kind][id])

    @on("POST", "/api/v1/{kind}/{id}/offline")
    def offline(self, asked: Asked, kind: str, id: str) -> Answer:
        self.things[kind][id]["online"] = False
        return Answer(body=self.things[kind][id])

    @on("GET", "/api/v1/nodes")
    def nodes(self, asked: Asked) -> Answer:
        return Answer(body={"items": [NODE], "problems": ["nodes.yaml, line 3: odd."]})

    @on("GET", "/api/v1/nodes/{name}")
    def node(self, asked: Asked, name: str) -> Answer:
        return Answer(body=NODE)

    @on("POST", "/api/v1/nodes/{name}/{verb}")
    def mark(self, asked: Asked, name: str, verb: str) -> Answer:
        return Answer(body=NODE)

    @on("GET", "/api/v1/queues")
    def queues(self, asked: Asked) -> Answer:
        return Answer(body={"items": [QUEUE], "priority_classes": {"high": 100}})

    @on("GET", "/api/v1/queues/{name}")
    def queue(self, asked: Asked, name: str) -> Answer:
        return Answer(body=QUEUE)

    @on("PUT", "/api/v1/queues/{name}")
    def put_queue(self, asked: Asked, name: str) -> Answer:
        return Answer(body={**QUEUE, **asked.json})

    @on("DELETE", "/api/v1/queues/{name}")
    def remove_queue(self, asked: Asked, name: str) -> Answer:
        return Answer(204)

    @on("GET", "/api/v1/resource-specs")
    def specs(self, asked: Asked) -> Answer:
        return page([SPEC])

    @on("PUT", "/api/v1/resource-specs/{name}")
    def say(self, asked: Asked, name: str) -> Answer:
        return Answer(body={**SPEC, "name": name})

    @on("DELETE", "/api/v1/resource-specs/{name}")
    def unsay(self, asked: Asked, name: str) -> Answer:
        return Answer(status=204)

    @on("GET", "/api/v1/events/dead")
    def dead(self, asked: Asked) -> Answer:
        known = {"event_id": "ev-1", "type": "job.started", "subject": "job-1", "attempts": 5, "since": NOW}
        said = {"error": "ValueError('odd')", "advice": "Mend on_capacity, then replay."}
        where = {"service": "train-svc", "handler": "on_capacity", "kept": "inbox"}
        letter = {"id": "train-svc.on_capacity.ev-1", **where, **known, **said}
        silent = [{"service": name, "reason": "It does not answer."} for name in self.silent]
        return Answer(body={"items": [letter], "next_cursor": None, "unavailable": silent})

    @on("POST", "/api/v1/events/dead/replay")
    def replay(self, asked: Asked) -> Answer:
        ids = asked.json.get("ids") or ["train-svc.on_capacity.ev-1"]
        lost = [{"id": one, "code": "dead_letter_not_found", "detail": "None."} for one in ids if "absent" in one]
        return Answer(body={"replayed": [one for one in ids if "absent" not in one], "failed": lost})


class Handler(BaseHTTPRequestHandler):
    """HTTP in and out."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    stub: Stub

    def log_message(self, *_: Any) -> None:
        pass

    def handle_any(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, parts.path, query, headers, body)
        with self.stub.lock:
            self.stub.asked.append(asked)
            if self.stub.should_break(asked, before=True):
                return self.cut()
            answer = self.stub.answer(asked)
            cut = self.stub.should_break(asked, before=False)
        if answer.stream is not None:
            return self.stream(answer.stream, cut)
        if cut:
            return self.cut()
        return self.send(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def cut(self) -> None:
        self.close_connection = True

    def stream(self, pieces: list[str], cut: bool) -> None:
        """Chunked; a cut comes after the first piece."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces[: 1 if cut else None]:
            self.wfile.write(f"{len(piece.encode()):x}\r\n{piece}\r\n".encode())
            self.wfile.flush()
        if cut:
            return self.cut()
        self.wfile.write(b"0\r\n\r\n")
        return None

    def send(self, answer: Answer) -> None:
        raw = (
            answer.raw
            if answer.raw is not None
            else (json.dumps(answer.body).encode() if answer.body is not None else b"")
        )
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


@contextmanager
def serving(stub: Stub) -> Iterator[str]:
    """The stub behind a real socket; gives its address."""
    handler = type("Bound", (Handler,), {"stub": stub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Hour:
    """An hour that moves only when somebody waits, and gives the real processor a chance meanwhile."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds
        time.sleep(0)
