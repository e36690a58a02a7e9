"""Draws a view into the form: the panes with their maps, the numbers, what differs from the pinned view."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from hide_utils.explorer import said
from hide_utils.explorer.case import Shown
from hide_utils.explorer.form import Form
from hide_utils.explorer.galleries import step_map

MapInWords = tuple[Float[np.ndarray, "h w"], str, float | None]


def draw_panes(form: Form, shown: Shown, pinned: Shown | None) -> None:
    """Draw the main pane, and the pinned one where there is one, with what differs between them."""
    form.pane.show(shown, pinned, *map_of(form, shown))
    if pinned:
        union = step_map(pinned.view, pinned.knobs.sigma, form.step.value)
        form.pinned.show(pinned, shown, union, f"{form.step.value}, all tokens that count", top_of(form.step.value))


def map_of(form: Form, shown: Shown) -> MapInWords:
    """The map that is drawn, what it is, and the value of its brightest color: of the chosen word, or of all tokens."""
    view, sigma, step, word = shown.view, shown.knobs.sigma, form.step.value, form.strips.looked_at
    if word is None:
        return step_map(view, sigma, step), f"{step}, all tokens that count", top_of(step)
    title, number = word
    if title == "searched for":
        return step_map(view, sigma, step, number), f"{step}, “{shown.case.attention.tokens[number]}”", top_of(step)
    rows = form.strips.texts[title]
    return rows.rows[0, number], f"raw attention, “{rows.tokens[number].strip()}” ({title})", None


def top_of(step: str) -> float | None:
    """Value of the brightest color: 1 for maps that are scaled, None (the largest value) for attention itself."""
    return None if step == "raw attention" else 1.0


def write_numbers(form: Form, shown: Shown, pinned: Shown | None) -> None:
    """Write the numbers of the view, and what differs from the pinned one."""
    form.numbers.value = said.numbers_html(shown.case, shown.view)
    if pinned:
        form.differences.value = said.differences_html(pinned, shown)
