"""The paper's method in reading order: entities, tad, lpd, session, hide, result."""

from hide_utils.method.hide import HiDe

__all__ = ["HiDe"]
