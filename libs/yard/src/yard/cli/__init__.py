"""The `yard` command: the nouns and verbs of the API, for people and for scripts.

Exit codes: 0 done, 1 the platform refused or something failed, 2 wrong usage, 130 interrupted. One message on standard
error, never a traceback (`YARD_DEBUG=1` shows it).
"""

from __future__ import annotations

from yard.cli.main import main

__all__ = ["main"]
