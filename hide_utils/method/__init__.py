"""The paper's method: what to look for, where the model looks for it, and what it is shown instead.

Read the files in the order entities, tad, lpd, session, hide, result; then follow one call of `HiDe`.
The first three stand for sections of the paper, `session` shares work between prompts, and `hide` joins the stages.
"""

from hide_utils.method.entities import Entities, Extractor
from hide_utils.method.hide import HiDe
from hide_utils.method.lpd import boxes_grid, compact_image, mapping, merge_boxes, paste, regions_of, token_boxes
from hide_utils.method.result import Result
from hide_utils.method.session import HIDE_STEPS, Localisation, SearchAttention, Session
from hide_utils.method.tad import minmax, noise_prior, purify, smooth, subtract_prior

__all__ = [
    "HIDE_STEPS",
    "Entities",
    "Extractor",
    "HiDe",
    "Localisation",
    "Result",
    "SearchAttention",
    "Session",
    "boxes_grid",
    "compact_image",
    "mapping",
    "merge_boxes",
    "minmax",
    "noise_prior",
    "paste",
    "purify",
    "regions_of",
    "smooth",
    "subtract_prior",
    "token_boxes",
]
