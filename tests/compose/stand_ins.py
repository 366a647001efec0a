"""One image in place of the stock ones, where those can't be pulled."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.servers.docker import Docker
from tests.servers.environment import environment
from tests.servers.s3 import RCLONE

FOLDER = Path(__file__).parent / "stand_in"
IMAGE = "modelyard-test/stand-in:1"


def stand_in(docker: Docker) -> str:
    """The name of the image, which is PostgreSQL, RabbitMQ or an S3 server as its command says."""
    rclone = environment("rclone", *RCLONE) / "rclone"
    with tempfile.TemporaryDirectory(prefix="modelyard-stand-in-") as context:
        for path in (*FOLDER.iterdir(), rclone):
            shutil.copy(path, context)
        docker.run_client("build", "--quiet", "--build-arg", f"BASE={docker.base()}", "--tag", IMAGE, context)
    return IMAGE
