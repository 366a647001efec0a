"""An algorithm that tells which devices it holds: in its log where it trains, in every answer where it serves.

Its training takes as many steps as it is told, meets the other members of its gang first, gives way when it is told to,
and goes on from its checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.data import packed
from tests.support.process import ENGINE
from yard import Client

TRAIN = """
import argparse, json, os, signal, socket, sys, time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int)
steps = parser.parse_args().steps
rank, nodes = int(os.environ.get("NODE_RANK", 0)), int(os.environ.get("NNODES", 1))
print("devices", os.environ["CUDA_VISIBLE_DEVICES"], "of", rank, flush=True)
if nodes > 1:
    place = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    if rank == 0:
        with socket.create_server(place) as server:
            for _ in range(nodes - 1):
                with server.accept()[0] as one:
                    print("met", one.recv(100).decode(), flush=True)
    for _ in range(4000 if rank else 0):
        try:
            with socket.create_connection(place) as one:
                one.sendall(str(rank).encode())
            break
        except OSError:
            time.sleep(0.05)
checkpoint = Path(os.environ["CKPT_DIR"]) / f"step-{rank}"
done = int(checkpoint.read_text()) if checkpoint.exists() else 0
print("begins at", done, flush=True)
signal.signal(signal.SIGTERM, lambda *_: print("signalled", flush=True))
told = Path(os.environ["YARD_PREEMPT_FILE"])
while done < steps:
    if told.exists():
        checkpoint.write_text(str(done))
        print("gives way:", json.loads(told.read_text())["reason"], flush=True)
        sys.exit(143)
    time.sleep(0.05)
    done += 1
    print("step", done, flush=True)
(Path(os.environ["RESULT_DIR"]) / "model.json").write_text(json.dumps({"steps": done}))
"""

SERVE = """
import json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.say({"status": "ok"})

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.say({"devices": os.environ["CUDA_VISIBLE_DEVICES"]})

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

DEFINITION: dict[str, Any] = {
    "name": "devices told",
    "purpose": "image/classification",
    "formats": ["dir"],
    "training": {
        "engine": ENGINE,
        "command": ["python", "train.py"],
        "devices": ["gpu"],
        "parameters": [{"name": "steps", "type": "integer", "default": 1, "minimum": 1}],
    },
    "inference": {
        "engine": ENGINE,
        "command": ["python", "serve.py"],
        "devices": ["gpu"],
        "interface": {"name": "tell", "method": "POST", "path": "/tell", "style": "json", "inputs": []},
        "resources": {"cpu": 0.5, "memory": "64Mi", "accelerator": "gpu", "count": 1},
    },
}


def telling_algorithm(client: Client, folder: Path) -> Any:
    """The algorithm, online. `folder` takes its code packages."""
    made = client.algorithms.create(DEFINITION)
    client.algorithms.put_code(made["id"], "training", packed(folder / "tell-t.zip", {"train.py": TRAIN.encode()}))
    client.algorithms.put_code(made["id"], "inference", packed(folder / "tell-i.zip", {"serve.py": SERVE.encode()}))
    return client.algorithms.online(made["id"])
