"""What HiDe is compared with, and the one list of methods: name, method, label and color of each in `_LIST`.

Read `outcome` first, which says what every method returns, then `methods`: the direct answer, HiDe, given and random
boxes. `published` has methods after their papers and `heads` HiDe with a few heads; `entity_rules` finds a question's
entities without a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hide_utils.baselines import methods, published
from hide_utils.baselines.entity_rules import rule_entities
from hide_utils.baselines.heads import hide_heads
from hide_utils.baselines.methods import direct, of_pictures, of_regions, true_regions, with_hide
from hide_utils.baselines.outcome import Method, NeedsOptions, Outcome, answered, n_letters
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
    ("hide_heads", hide_heads, "HiDe, few heads", "#332288"),  # no color of the palette is left: these two are darker
    ("hide_conformal", published.conformal, "HiDe, conformal gate", "#882255"),
)
METHODS: dict[str, Method] = {name: method for name, method, _, _ in _LIST}
LOOKS: dict[str, Look] = {name: Look(label, color) for name, _, label, color in _LIST}


def named(wanted: Sequence[str] | Mapping[str, Method | str]) -> dict[str, Method]:
    """Methods by name. A mapping gives methods, or names of known ones, names of its own.

    Raises:
        ValueError: a name is unknown. The message has the nearest known one.
    """
    methods = wanted if isinstance(wanted, Mapping) else {name: name for name in wanted}
    for method in methods.values():
        if isinstance(method, str) and method not in METHODS:
            raise ValueError(f"unknown method {method!r}; {nearest(method, METHODS)}")
    return {name: METHODS[method] if isinstance(method, str) else method for name, method in methods.items()}
