"""Alias of `hide_utils.cli.run`, so that ``python -m hide_utils.run`` stays what it was."""

from hide_utils.cli.run import *  # noqa: F403
