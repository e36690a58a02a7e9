"""The paper's method: what to look for, where the model looks for it, and what it is shown instead.

Read the files in the order entities, tad, lpd, rows, session, hide, result; then follow one call of `HiDe`.
The first three stand for sections of the paper, `session` shares work between prompts, and `hide` joins the stages.
"""

from hide_utils.method.entities import Entities, Extractor, clean, given_entities
from hide_utils.method.hide import NUMERICS, HiDe, checked_question, read_letter
from hide_utils.method.lpd import BoxesXYXY, as_boxes, compact_image, merge_boxes, pixel_regions, token_boxes
from hide_utils.method.result import Result
from hide_utils.method.rows import SearchAttention
from hide_utils.method.session import HIDE_STEPS, Session
from hide_utils.method.shared import Found, Localisation, the_only
from hide_utils.method.tad import purify
from hide_utils.prompts import EXTRACTION_PROMPT, SEARCH_INSTRUCTION, Prompts
