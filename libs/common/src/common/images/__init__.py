"""What code runs in: engines, which are Python environments built once and kept by the digest of what is in them."""

from common.images.docker import DockerEngines
from common.images.engines import LocalEngines
from common.images.interpreters import choose_interpreter
from common.images.requirements import EngineFailed, engine_digest

__all__ = ["DockerEngines", "EngineFailed", "LocalEngines", "choose_interpreter", "engine_digest"]
