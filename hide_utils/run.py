"""Alias of `hide_utils.cli.run`, so that ``python -m hide_utils.run`` stays what it was."""

import sys

from hide_utils.cli.run import *  # noqa: F403
from hide_utils.cli.run import main

if __name__ == "__main__":
    sys.exit(main())
