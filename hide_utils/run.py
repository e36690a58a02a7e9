"""Alias of `hide_utils.cli.run`, so that ``python -m hide_utils.run`` stays what it was."""

import sys

from hide_utils.cli import main as door
from hide_utils.cli.run import *  # noqa: F403

if __name__ == "__main__":
    sys.exit(door.main(["run", *sys.argv[1:]]))
