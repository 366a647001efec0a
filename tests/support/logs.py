"""Logs as they were before."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog


@contextmanager
def logging_kept() -> Iterator[None]:
    """Where and how the log is written is afterwards as it was, whoever sets it up meanwhile."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers = root.handlers[:]
    levels = {name: logging.getLogger(name).level for name in ("", *logging.root.manager.loggerDict)}
    try:
        yield
    finally:
        root.handlers[:] = handlers
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        structlog.configure(**before)
