"""An algorithm of our own that trains as slowly, and ends as badly, as a test needs it; it uses nothing but Python.

It writes numbered lines to its log and a point to its metrics for each, then the model and `evaluation.json`. Its
service answers who it is and what model it has.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.data import packed
from tests.support.process import ENGINE
from yard import Client

TRAIN = """
import argparse, json, os, sys, time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--lines", type=int)
parser.add_argument("--seconds", type=float)
parser.add_argument("--then", choices=["succeed", "fail", "fill", "full", "large"])
parser.add_argument("--until", type=Path)
chosen = parser.parse_args()
results = Path(os.environ["RESULT_DIR"])
files = sum(len(names) for _, _, names in os.walk(os.environ["DATA_DIR"], followlinks=True))
print(f"process {os.getpid()} trains on {files} files", flush=True)
with open(os.environ["YARD_METRICS"], "a") as metrics:
    for number in range(1, chosen.lines + 1):
        time.sleep(chosen.seconds / chosen.lines)
        metrics.write(json.dumps({"step": number, "accuracy": number / chosen.lines, "loss": 1 / number}) + "\\n")
        metrics.flush()
        print(f"line {number} of {chosen.lines}", flush=True)
        (results / "partial.txt").write_text(str(number))
while chosen.until.parent.exists() and not chosen.until.exists():
    time.sleep(0.02)
if chosen.then == "fail":
    sys.exit(3)
if chosen.then == "fill":
    with open(results / "large.bin", "wb") as large:
        while True:
            large.write(bytes(1 << 20))
if chosen.then == "full":
    open("/dev/full", "wb", buffering=0).write(b"x")
if chosen.then == "large":
    (results / "large.bin").write_bytes(os.urandom(8 << 20))
(results / "model.json").write_text(json.dumps({"lines": chosen.lines, "files": files}))
judged = {"accuracy": 1.0, "samples": 1, "classes": ["a", "b"], "confusion_matrix": [[1, 0], [0, 1]]}
(results / "evaluation.json").write_text(json.dumps(judged))
print("done", flush=True)
"""

SERVE = """
import json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODEL = json.loads((Path(os.environ["MODEL_DIR"]) / "model.json").read_text())
WHO = os.path.basename(os.environ["YARD_WORKLOAD_DIR"])


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.say({"status": "ok"})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        self.say({"replica": WHO, "model": MODEL, "asked": asked})

    def say(self, what):
        body = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer((os.environ.get("HOST") or "127.0.0.1", int(os.environ["PORT"])), Answers).serve_forever()
"""

ENDS = ["succeed", "fail", "fill", "full", "large"]
"""How the training may end: well, with exit code 3, by filling its disk, by finding one full, with 8 MiB more."""


class Bell:
    """What a training waits for before it ends (`until=bell.path`), where it runs on this machine: then it is running
    for as long as a test needs that, however slow the machine is."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "rung")

    def ring(self) -> None:
        """Let those who wait go on."""
        Path(self.path).touch()


@contextmanager
def bell() -> Iterator[Bell]:
    """A bell that every user of this machine hears; nobody waits for it longer than it is there."""
    with tempfile.TemporaryDirectory(prefix="modelyard-bell-") as folder:
        Path(folder).chmod(0o755)
        yield Bell(Path(folder))


DEFINITION: dict[str, Any] = {
    "name": "numbered lines",
    "purpose": "image/classification",
    "formats": ["dir"],
    "training": {
        "engine": ENGINE,
        "command": ["python", "train.py"],
        "parameters": [
            {"name": "lines", "type": "integer", "default": 3, "minimum": 1, "maximum": 100000},
            {"name": "seconds", "type": "number", "default": 0.05, "minimum": 0},
            {"name": "then", "type": "string", "default": "succeed", "choices": ENDS},
            {"name": "until", "type": "string", "default": "/"},
        ],
    },
    "inference": {
        "engine": ENGINE,
        "command": ["python", "serve.py"],
        "interface": {
            "name": "echo",
            "method": "POST",
            "path": "/echo",
            "style": "json",
            "inputs": [{"name": "text", "type": "String", "test_value": "你好"}],
        },
        "resources": {"cpu": 0.5, "memory": "64Mi"},
    },
}


def slow_algorithm(client: Client, folder: Path, *, key: str | None = None, **changes: Any) -> Any:
    """The algorithm, online. `folder` takes its code packages; `changes` replace parts of its definition."""
    made = client.algorithms.create({**DEFINITION, **changes}, key=key)
    training = packed(folder / "training.zip", {"train.py": TRAIN.encode()})
    inference = packed(folder / "inference.zip", {"serve.py": SERVE.encode()})
    client.algorithms.put_code(made["id"], "training", training)
    if "inference" not in changes or changes["inference"] is not None:
        client.algorithms.put_code(made["id"], "inference", inference)
    return client.algorithms.online(made["id"])
