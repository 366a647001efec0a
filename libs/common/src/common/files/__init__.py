"""Where bytes are kept: adapters of the `Files` port. `file:` keeps objects as files below one folder."""

from common.files.keys import check_key, check_prefix
from common.files.local import LocalFiles

__all__ = ["LocalFiles", "check_key", "check_prefix"]
