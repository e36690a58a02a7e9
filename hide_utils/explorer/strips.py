"""What stands below the panes: the tokens' maps, texts by token, every layer, every head of one layer."""

from __future__ import annotations

import ipywidgets as w
import numpy as np

from hide_utils.explorer.case import Case, Shown, TokenRows
from hide_utils.explorer.galleries import head_gallery, layer_strip, token_shares, words_of
from hide_utils.explorer.widgets import Thumbs, Words, jpeg, update

MOST_THUMBS = 24  # maps of tokens that are drawn, since a longer list would be slow and illegible
THUMB = 200  # most pixels of the side of a token's picture


class Strips:
    """The rows of small maps and the colored texts.

    Attributes:
        tokens: maps of the searched tokens; those that are pressed count.
        words: texts by token.
        layers: the map at every layer; the one that is pressed is read.
        heads: the map of every head; the mean of those that are pressed is read, or of all.
        texts: what the words show, by title.
        sections: the widgets with their headings, in their order.
    """

    def __init__(self) -> None:
        self.tokens = Thumbs(multiple=True, dims=True, side=96, does="count the token")
        self.layers = Thumbs(playable=True, side=44, does="read layer")
        self.heads = Thumbs(multiple=True, side=72, does="average head")
        self.words = Words()
        self.texts: dict[str, TokenRows] = {}
        self._drawn: dict[str, tuple] = {}
        self._headless = _section("Heads of the layer (press some to read their mean alone)", self.heads)
        self.sections = [
            _section("Tokens (press one to leave it out)", self.tokens),
            _section("Words (hover or press one to see where it looks)", self.words),
            _section("Layers (counted from 1; press one to read it)", self.layers),
            self._headless,
        ]

    def show_case(self, case: Case) -> None:
        """Show a case's tokens, all of which count, before its view."""
        names = case.attention.tokens[:MOST_THUMBS]
        rest = len(case.attention.tokens) - len(names)
        same = {"picture": jpeg(case.image, THUMB), "size_wh": list(case.image.size)}
        more = f"and {rest} more, which always count" if rest else ""
        update(self.tokens, chosen=list(range(len(names))), labels=[one or "␣" for one in names], said=more, **same)
        for strip in (self.layers, self.heads):
            update(strip, size_wh=list(case.image.size))
        update(self.heads, chosen=[])
        update(self.words, chosen=-1, hovered=-1)
        self._drawn = {}

    @property
    def tokens_off(self) -> tuple[int, ...]:
        """Numbers of the tokens that are left out."""
        return tuple(i for i in range(len(self.tokens.labels)) if i not in self.tokens.chosen)

    def show_words(self, shown: Shown, place: list[float]) -> None:
        """Color the words of question and reply for a view.

        Args:
            shown: the view.
            place: that is marked in the picture, in parts of its sides; empty without one.
        """
        case, knobs = shown.case, shown.knobs
        if self._new("words", knobs.layer, place, case.answers.get(None), case.answers.get(knobs)):
            self._show_words(shown, place)

    def show_maps(self, shown: Shown, with_heads: bool) -> None:
        """Show the small maps that belong to a view: tokens, layers and, where they are wanted, heads.

        Args:
            shown: the view.
            with_heads: whether the heads are shown, for which the model may have to run.
        """
        case, knobs, view = shown.case, shown.knobs, shown.view
        smoothed, read = (knobs.sigma, knobs.noise_prior), (knobs.layer, knobs.heads)
        if self._new("tokens", smoothed, read):
            self.tokens.show(view.maps[:MOST_THUMBS], self.tokens.labels)
        if self._new("layers", smoothed, knobs.tokens_off):
            self._show_layers(shown)
        update(self.layers, chosen=[case.row_of(knobs.layer)])
        self._headless.layout.display = None if with_heads else "none"
        if with_heads and self._new("heads", read, knobs.tokens_off, () if len(case.boxes_xyxy) else view.regions):
            self._show_heads(shown)

    def _new(self, name: str, *depends: object) -> bool:
        """Whether a strip has to be drawn anew, since something that it depends on is not what it was."""
        seen, self._drawn[name] = self._drawn.get(name), depends
        return seen is None or any(one is not other and one != other for one, other in zip(seen, depends, strict=True))

    def _show_layers(self, shown: Shown) -> None:
        strip = layer_strip(shown.case, shown.knobs)
        ((name, values),) = strip.values.items()
        labels = [str(layer + 1) for layer in shown.case.attention.layers]
        above = f"line: {name}, from {min(0.0, values.min()):.2g} to {values.max():.2g}"
        below = [f"{one + 0.0:.2f}" for one in values]  # never -0.00
        self.layers.show(strip.maps, labels, line=values.tolist(), said=above, below=below)

    def _show_heads(self, shown: Shown) -> None:
        found = head_gallery(shown.case, shown.knobs, shown.view)
        boxes = "true boxes" if len(shown.case.boxes_xyxy) else "regions"
        below = [f"{entropy + 0.0:.2f} · {inside:.0%}" for entropy, inside in zip(*found.values.values(), strict=True)]
        chosen = ", ".join(str(head + 1) for head in shown.knobs.heads)
        above = f"read: mean of {chosen or 'all'}; under each: spatial entropy · mass in the {boxes}"
        self.heads.show(found.maps, [str(i + 1) for i in range(len(below))], below=below, said=above)

    def _show_words(self, shown: Shown, place: list[float]) -> None:
        self.texts = words_of(shown.case, shown.knobs.layer, shown.case.answers.get(shown.knobs))
        rows = np.concatenate([one.rows[0] for one in self.texts.values()])
        shares = token_shares(rows, place or None)
        names = [token.strip() or "␣" for one in self.texts.values() for token in one.tokens]
        ends = [float(shares.min(initial=np.inf)), float(shares.max(initial=0.0))]
        unit, about = "of its attention goes to the picture", "color: share of a token's attention on the picture"
        if place:
            unit, about = "× a flat map at the marked place", "color: attention at the marked place, times a flat map"
            first = np.argsort(-shares, kind="stable")[:5]
            ends[0] = 0.0
            about += "; most: " + ", ".join(f"{names[i]} {shares[i]:.1f}" for i in first)
        about += f"; from {ends[0]:.2g} (none) to {ends[1]:.2g}" if ends[0] < ends[1] else ""
        if "direct reply" not in self.texts:
            about += "; press “Answer” to see the tokens of question and reply"
        groups = [[title, list(one.tokens)] for title, one in self.texts.items()]
        values = {"shares": shares.tolist(), "ends": ends, "unit": unit, "said": about}
        update(self.words, groups=groups, **values)

    @property
    def looked_at(self) -> tuple[str, int] | None:
        """Title and number within its text of the token that is hovered or else pressed; None for none."""
        number = self.words.hovered if self.words.hovered >= 0 else self.words.chosen
        for title, one in self.texts.items() if number >= 0 else ():
            if number < len(one.tokens):
                return title, number
            number -= len(one.tokens)
        return None


def _section(title: str, widget: w.Widget) -> w.VBox:
    return w.VBox([w.HTML(f"<h4>{title}</h4>"), widget])
