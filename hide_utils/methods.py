"""Alias of `hide_utils.baselines`, for people who import it under this name."""

from hide_utils.baselines import *  # noqa: F403
