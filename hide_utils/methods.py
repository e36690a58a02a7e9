"""Alias of `hide_utils.baselines.methods`, for people who import it under this name."""

from hide_utils.baselines.methods import *  # noqa: F403
