"""Immutable lists of files: what a dataset version, a model, a code package or a job's results is made of.

Many small files would drown any store, so their bytes are concatenated into packs, and one index object says which
file is where. The index is sorted, so that one file of millions is found with a few small reads, and its content
digest is the same whatever archive, order or packing the files came in.
"""

from common.manifests.index import FORMAT, Entry, Header
from common.manifests.pack import Packed, PackWriter
from common.manifests.paths import check_path
from common.manifests.read import (
    batches,
    delete,
    entries_at,
    entries_from,
    find,
    find_many,
    header,
    local_index,
    open_entry,
    places,
    read,
)
from common.manifests.sharing import MOST_SHARED, Shared, share
from common.manifests.store import PACK_BYTES, store, store_bytes, store_entries, store_folder, store_stream

__all__ = [
    "FORMAT",
    "MOST_SHARED",
    "PACK_BYTES",
    "Entry",
    "Header",
    "PackWriter",
    "Packed",
    "Shared",
    "batches",
    "check_path",
    "delete",
    "entries_at",
    "entries_from",
    "find",
    "find_many",
    "header",
    "local_index",
    "open_entry",
    "places",
    "read",
    "share",
    "store",
    "store_bytes",
    "store_entries",
    "store_folder",
    "store_stream",
]
