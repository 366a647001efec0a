"""`python -m yard.demo`: the journey on a platform that runs already, as whoever is logged in there."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from yard.cli.main import error_text
from yard.client import Client
from yard.config import config_path, identity, read
from yard.demo.journey import run
from yard.errors import YardError


def main() -> int:
    """Read the options, log in where a name is given, run; 0 only if the journey went well."""
    options = argparse.ArgumentParser(prog="python -m yard.demo", description=__doc__)
    options.add_argument("--address", help="where the platform is")
    options.add_argument("--name", help="log in with this name (else: the login of the yard command)")
    options.add_argument("--password-file", type=Path, help="a file that holds the password")
    chosen = options.parse_args()
    try:
        who = identity(
            read(config_path(os.environ)), os.environ | ({"YARD_ADDRESS": chosen.address} if chosen.address else {})
        )
        with Client(who.address, who.secret) as client:
            if chosen.name:
                password = (
                    chosen.password_file.read_text() if chosen.password_file else os.environ.get("YARD_PASSWORD", "")
                )
                client.login(chosen.name, password.strip())
            return run(client)
    except YardError as error:
        print(error_text(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; what was made so far stays on the platform.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
