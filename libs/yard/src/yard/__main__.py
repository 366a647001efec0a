"""`python -m yard` is the `yard` command."""

import sys

from yard.cli import main

sys.exit(main())
