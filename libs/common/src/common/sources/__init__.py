"""Data that lies elsewhere: an S3 bucket, a Swift container, a shared file system (row D11, seeds 000 and 003).

Whatever address a person names is looked up by us and must be one that may be reached (`egress`), and secrets are
kept encrypted (`secrets`): neither is ever taken on trust.
"""

from common.sources.connections import S3Connection, SharedPath, SwiftConnection, open_source
from common.sources.egress import Egress
from common.sources.port import Found, Source
from common.sources.roots import SharedRoots
from common.sources.secrets import SecretBox

__all__ = [
    "Egress",
    "Found",
    "S3Connection",
    "SecretBox",
    "SharedPath",
    "SharedRoots",
    "Source",
    "SwiftConnection",
    "open_source",
]
