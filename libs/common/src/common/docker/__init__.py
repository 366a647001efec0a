"""Docker's engine, asked in one place: the only door to aiodocker.

Every question has a time-out, and what goes wrong has one of two forms: the engine refuses (`Refused`, with its own
words), or it can't be asked at present (`Unavailable`), which says nothing about what runs.
"""

from common.docker.daemon import DEFAULT_URL, Daemon, Refused, engine_url
from common.docker.fetching import fetch_image

__all__ = ["DEFAULT_URL", "Daemon", "Refused", "engine_url", "fetch_image"]
