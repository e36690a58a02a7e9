"""The explorer's controls and panes as widgets, and how they are laid out; what they do is in `explorer`."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import ipywidgets as w

from hide_utils.edits.layouts import LAYOUTS
from hide_utils.plots.style import METHOD_LABELS

WIDE = {"description_width": "76px"}
ANY = "any"  # a choice like the others: ipywidgets takes None for no choice at all
OUTCOMES = [(ANY, ANY), ("right", True), ("wrong", False)]
# Colors come from the theme, so that dark and light look alike; only the pictures have colors of their own.
STYLE = """<style>
.hide-explorer .widget-label, .hide-explorer .widget-html-content { color: var(--jp-content-font-color1, inherit); }
.hide-explorer .widget-html-content { line-height: 1.4; }
.hide-explorer img { display: block; object-fit: contain; object-position: left top; }
.hide-explorer h4 { margin: 2px 0; }
.hide-explorer p { margin: 2px 0; }
.hide-explorer td { color: var(--jp-content-font-color1, inherit); }
.hide-explorer code { overflow-wrap: anywhere; white-space: pre-wrap; }
.hide-explorer :focus-visible { outline: 2px solid var(--jp-brand-color1, #1976d2); outline-offset: 1px; }
</style>"""

# ipywidgets gives a slider's handle, which the keyboard reaches, no name: it gets its label's, once it is there.
NAMED_SLIDERS = """<img hidden alt="" src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=" onload="
const name = tries => {
  const handles = [...(this.closest('.hide-explorer')?.querySelectorAll('.widget-hslider .noUi-handle') ?? [])];
  for (const handle of handles)
    handle.setAttribute('aria-label', handle.closest('.widget-hslider').querySelector('label').textContent);
  if (!handles.length && tries) setTimeout(name, 200, tries - 1);
};
name(50)">"""


def _full(**more: str) -> w.Layout:
    return w.Layout(width="auto", **more)


class ImagePane(w.HTML):
    """A picture with a text for whoever cannot see it (`widgets.Image` has none, and fails with a tooltip).

    meaning: that text. side: the most that its width and its height take, in CSS pixels.
    """

    def __init__(self, meaning: str, side: int) -> None:
        super().__init__()
        self.meaning, self.side = meaning, side

    def show(self, jpeg: bytes) -> None:
        """Show an encoded picture."""
        data = base64.b64encode(jpeg).decode()
        style = f"width:100%;max-width:{self.side}px;max-height:{self.side}px"
        self.value = f'<img alt="{html.escape(self.meaning)}" style="{style}" src="data:image/jpeg;base64,{data}">'


@dataclass
class Form:
    """Every widget of the explorer; `box` holds them all.

    kinds: kinds of question. methods: those that were evaluated, each with a filter of its own. n_layers: of the model.
    """

    kinds: Sequence[str]
    methods: Sequence[str]
    n_layers: int
    chips: list[w.ToggleButton] = field(default_factory=list)
    thumbs: list[ImagePane] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._choosing()
        self._asking()
        self._tuning()
        self._panes()
        choose = [self.kind, *self.outcomes.values(), self.sample]
        ask = [self.question, self.options, self.entities, self.upload, self.search]
        tune = [self.layer, self.sigma, self.alpha, self.layout, self.prior]
        columns = [
            w.VBox(
                [
                    *(_heading("Sample"), *choose),
                    *(_heading("Question"), *ask),
                    *(_heading("Settings"), *tune, self.answer, self.save),
                ],
                layout=w.Layout(flex="0 0 280px", min_width="260px"),
            ),
            w.VBox(self._right(), layout=w.Layout(flex="1 1 480px", min_width="300px")),
        ]
        row = w.Layout(display="flex", flex_flow="row wrap", grid_gap="12px", width="100%")
        rest = [w.Box(columns, layout=row), self.command, w.HTML(NAMED_SLIDERS)]
        self.box = w.VBox([w.HTML(STYLE), self.status, *rest])
        self.box.add_class("hide-explorer")

    def _choosing(self) -> None:
        options = [(ANY, ANY), *((kind.replace("_", " "), kind) for kind in self.kinds)]
        self.kind = w.Dropdown(options=options, description="kind", style=WIDE, layout=_full())
        self.outcomes = {
            method: w.Dropdown(
                options=OUTCOMES, description=METHOD_LABELS.get(method, method), style=WIDE, layout=_full()
            )
            for method in self.methods
        }
        self.sample = w.Dropdown(description="sample", style=WIDE, layout=_full())

    def _asking(self) -> None:
        self.question = w.Textarea(description="question", rows=2, style=WIDE, layout=_full(), continuous_update=False)
        self.options = w.Text(description="options", placeholder="red; blue (empty: free answer)", style=WIDE)
        self.entities = w.Text(description="entities", placeholder="empty: the model lists them", style=WIDE)
        for text in (self.options, self.entities):
            text.layout, text.continuous_update = _full(), False
        self.upload = w.FileUpload(
            accept="image/*", description="Own picture", layout=_full(), tooltip="load a picture"
        )
        tip = "run the model once: entities of the question, attention rows at every layer"
        self.search = w.Button(description="Search this question", icon="search", tooltip=tip, layout=_full())

    def _tuning(self) -> None:
        slide = {"style": WIDE, "layout": _full()}
        self.layer = w.IntSlider(min=0, max=self.n_layers - 1, description="layer", **slide)
        self.sigma = w.FloatSlider(min=0, max=8, step=0.25, description="σ (cells)", readout_format=".2f", **slide)
        self.alpha = w.FloatSlider(min=0.01, max=1, step=0.01, description="α", readout_format=".2f", **slide)
        layouts = [(name.replace("_", " "), name) for name in LAYOUTS]
        self.layout = w.Dropdown(options=layouts, description="layout", **slide)
        self.prior = w.Checkbox(value=True, description="subtract the noise prior", indent=False, layout=_full())
        tip = "run the model: the direct answer, and the one with the second picture as shown"
        self.answer = w.Button(description="Answer again", icon="play", button_style="primary", tooltip=tip)
        tip = "write this view as PDF and PNG with a sidecar that says what made it"
        self.save = w.Button(description="Save as figure", icon="save", tooltip=tip)
        self.answer.layout = self.save.layout = _full()

    def _panes(self) -> None:
        self.status = w.HTML(value=status_html("starting"))
        self.picture = ImagePane("picture with the map of all tokens, regions (solid) and true boxes (dashed)", 640)
        self.compact = ImagePane("second picture: the regions in the chosen layout", 320)
        self.legend, self.caption, self.answers = w.HTML(), w.HTML(), w.HTML()
        self.numbers, self.timings, self.command = w.HTML(), w.HTML(), w.HTML()
        self.tokens = w.Box(layout=w.Layout(display="flex", flex_flow="row wrap", grid_gap="6px"))

    def _right(self) -> list[w.Widget]:
        wrap = w.Layout(display="flex", flex_flow="row wrap", grid_gap="12px", align_items="flex-start")
        first = w.VBox([self.picture, self.legend], layout=w.Layout(flex="3 1 300px", min_width="260px"))
        second = w.VBox(
            [self.answers, self.compact, self.caption], layout=w.Layout(flex="2 1 200px", min_width="200px")
        )
        below = w.Box(
            [w.VBox([_heading("Numbers"), self.numbers]), w.VBox([_heading("Time"), self.timings])], layout=wrap
        )
        return [w.Box([first, second], layout=wrap), _heading("Tokens (press one to leave it out)"), self.tokens, below]

    def show_tokens(self, tokens: Sequence[str], most: int, toggled: Callable) -> None:
        """A picture and a chip for each token, the first `most` of them; the chips call `toggled`."""
        for chip in self.chips:
            chip.unobserve_all()
        names = [token or "␣" for token in tokens[:most]]
        self.chips = [w.ToggleButton(True, description=name, tooltip=f"count the token “{name}”") for name in names]
        self.thumbs = [ImagePane(f"purified map of the token “{name}”", 100) for name in names]
        for chip in self.chips:
            chip.layout = w.Layout(width="100px")
            chip.observe(toggled, "value")
        pairs = [w.VBox([thumb, chip]) for thumb, chip in zip(self.thumbs, self.chips, strict=True)]
        more = [w.Label(f"and {len(tokens) - most} more, which always count")] if len(tokens) > most else []
        self.tokens.children = [*pairs, *more]

    @property
    def enabled(self) -> list[w.Widget]:
        """What the user can change or press."""
        choose = [self.kind, *self.outcomes.values(), self.sample, self.question, self.options, self.entities]
        tune = [self.layer, self.sigma, self.alpha, self.layout, self.prior, *self.chips]
        return [*choose, self.upload, self.search, *tune, self.answer, self.save]

    @contextmanager
    def disabled(self):
        """No control can be used within it."""
        for control in self.enabled:
            control.disabled = True
        try:
            yield
        finally:
            for control in self.enabled:
                control.disabled = False


def status_html(text: str, busy: bool = False) -> str:
    """The line above everything: what is going on, or how the last action ended; read out by screen readers."""
    mark = "⏳ " if busy else ""
    live = f'role="status" aria-live="polite" aria-busy="{str(busy).lower()}"'
    return f"<div {live}>{mark}{html.escape(text)}</div>"


def command_html(command: str) -> str:
    """A command with a button that selects it and, where the browser allows, copies it."""
    copy = (
        "const c=this.parentNode.querySelector('code');getSelection().selectAllChildren(c);"
        "if(navigator.clipboard)navigator.clipboard.writeText(c.textContent)"
    )
    return (
        '<h4>Reproduce</h4><div style="display:flex;gap:8px;align-items:flex-start">'
        f'<button class="jupyter-button" style="width:auto;flex:none" onclick="{copy}">Copy command</button>'
        f"<code>{html.escape(command)}</code></div>"
    )


def _heading(text: str) -> w.HTML:
    return w.HTML(f"<h4>{html.escape(text)}</h4>")
