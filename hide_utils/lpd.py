"""Alias of `hide_utils.method.lpd`, for people who import it under this name."""

from hide_utils.method.lpd import *  # noqa: F403
