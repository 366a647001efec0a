"""The Python client of Modelyard and the `yard` command.

Promises: a call either answers or raises one `YardError` that says what to do; a create that is sent twice is done
once; uploads go on where they stopped. It stands alone: it knows the platform's HTTP only, none of its code.

    from yard import Client

    with Client("http://127.0.0.1:8765", api_key="…") as yard:
        dataset = yard.datasets.create("digits", purpose="image/classification")
        yard.datasets.import_(dataset["id"], "digits.zip")
        yard.datasets.online(dataset["id"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from yard.errors import Fault, YardError

if TYPE_CHECKING:
    from yard.client import Client

__all__ = ["Client", "Fault", "YardError"]


def __getattr__(name: str) -> Any:
    """`Client` is imported when first asked for, so that the command starts at once."""
    if name == "Client":
        from yard.client import Client

        return Client
    raise AttributeError(f"module 'yard' has no attribute {name!r}")
