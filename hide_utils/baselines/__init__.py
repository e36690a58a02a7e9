"""What HiDe is compared with, and the one list of methods: name, method, label and color of each in `_LIST`.

Read `outcome` first, which says what every method returns, then `methods`: the direct answer, HiDe, given and random
boxes. `published` has methods after their papers, `entity_rules` finds a question's entities without a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hide_utils.baselines import methods, published
from hide_utils.baselines.entity_rules import rule_entities
from hide_utils.baselines.methods import direct, of_pictures, of_regions, true_regions, with_hide
from hide_utils.baselines.outcome import Method, Outcome, answered
from hide_utils.baselines.published import best_window
from hide_utils.config import nearest
from hide_utils.looks import PALETTE, Look

__all__ = ["LOOKS", "METHODS", "Method", "Outcome", "named", "of_pictures", "of_regions", "true_regions"]

_LIST: tuple[tuple[str, Method, str, str], ...] = (
    ("direct", direct, "direct", PALETTE[7]),
    ("hide", with_hide, "HiDe", PALETTE[3]),
    ("oracle", methods.oracle, "oracle boxes", PALETTE[2]),
    ("random", methods.random_regions, "random boxes", PALETTE[4]),
    ("direct_logits", published.direct_logits, "direct, by logits", PALETTE[8]),
    ("rel_att", published.relative_attention_crop, "relative attention", PALETTE[0]),
    ("first_token", published.first_token, "first answer token", PALETTE[1]),
    ("hide_no_prior", published.hide_no_prior, "HiDe without prior", PALETTE[6]),
    ("hide_gated", published.gated(), "HiDe where unsure", PALETTE[9]),
    ("tree_search", published.tree_search, "tree search", PALETTE[5]),
)
METHODS: dict[str, Method] = {name: method for name, method, _, _ in _LIST}
LOOKS: dict[str, Look] = {name: Look(label, color) for name, _, label, color in _LIST}


def named(wanted: Sequence[str] | Mapping[str, Method]) -> dict[str, Method]:
    """Methods by name; a mapping is taken as it is.

    Raises:
        ValueError: a name is unknown. The message has the nearest known one.
    """
    if isinstance(wanted, Mapping):
        return dict(wanted)
    for method in wanted:
        if method not in METHODS:
            raise ValueError(f"unknown method {method!r}; {nearest(method, METHODS)}")
    return {method: METHODS[method] for method in wanted}
