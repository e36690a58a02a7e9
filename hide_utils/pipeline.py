"""Alias of `hide_utils.method.hide`, for people who import it under this name."""

from hide_utils.method.hide import *  # noqa: F403
