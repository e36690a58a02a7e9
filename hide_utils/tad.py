"""Alias of `hide_utils.method.tad`, for people who import it under this name."""

from hide_utils.method.tad import *  # noqa: F403
