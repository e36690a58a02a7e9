"""The explorer's controls and panes as widgets, and how they are laid out; what they do is in `app`."""

from __future__ import annotations

import base64
import csv
import html
import re
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anywidget
import ipywidgets as w
import traitlets

from hide_utils.baselines import LOOKS
from hide_utils.edits.layouts import LAYOUTS
from hide_utils.explorer.case import Case, Knobs
from hide_utils.looks import look_of

FOLDER = Path(__file__).parent
FULL = {"layout": {"width": "auto"}}
WIDE = FULL | {"style": {"description_width": "76px"}}
WRAPPED = {"display": "flex", "flex_flow": "row wrap", "grid_gap": "12px", "align_items": "flex-start"}
ANY = "any"  # the filter that lets everything pass; None would be no choice at all to ipywidgets
TURNED = ("layer", "sigma", "alpha", "noise_prior", "layout")  # fields of `Knobs` that have a control of their name
OUTCOMES = [(ANY, ANY), ("right", True), ("wrong", False)]


class ImagePane(w.HTML):
    """A picture with a text for whoever cannot see it. `widgets.Image` has no such text and fails with a tooltip.

    Args:
        meaning: that text.
        side: largest width and height, in CSS pixels.
    """

    def __init__(self, meaning: str, side: int) -> None:
        super().__init__()
        self.meaning, self.side = meaning, side

    def show(self, jpeg: bytes) -> None:
        """Show an encoded picture."""
        data = base64.b64encode(jpeg).decode()
        style = f"width:100%;max-width:{self.side}px;max-height:{self.side}px"
        self.value = f'<img alt="{html.escape(self.meaning)}" style="{style}" src="data:image/jpeg;base64,{data}">'


class CommandPane(anywidget.AnyWidget):
    """A command with a button that selects it and, where the browser allows, copies it.

    While it is shown, it also names the handles of the explorer's sliders by the text of their labels. The keyboard and
    screen readers reach a handle, and ipywidgets leaves it without a name.
    """

    value = traitlets.Unicode().tag(sync=True)
    _esm = FOLDER / "command.js"
    _css = FOLDER / "explorer.css"


@dataclass
class Form:
    """Every widget of the explorer.

    Attributes:
        kinds: kinds of question that can be filtered by.
        methods: that were evaluated, each with a filter of its own.
        n_layers: of the model.
        chips: buttons that leave tokens out, in their order.
        thumbs: pictures of the tokens' maps, in the same order.
        box: holds all widgets.
    """

    kinds: Sequence[str]
    methods: Sequence[str]
    n_layers: int
    chips: list[w.ToggleButton] = field(default_factory=list)
    thumbs: list[ImagePane] = field(default_factory=list)

    def __post_init__(self) -> None:
        groups = {"Sample": self._offering(), "Question": self._asking(), "Settings": self._tuning()}
        self._controls = [control for group in groups.values() for control in group]
        self._panes()
        left = [part for name, group in groups.items() for part in (_heading(name), *group)]
        columns = [
            w.VBox(left, layout={"flex": "0 0 280px", "min_width": "260px"}),
            w.VBox(self._right(), layout={"flex": "1 1 480px", "min_width": "300px"}),
        ]
        row = w.Box(columns, layout=WRAPPED | {"width": "100%", "align_items": None})
        self.box = w.VBox([self.status, row, self.command])
        self.box.add_class("hide-explorer")

    def _offering(self) -> list[w.Widget]:
        options = [("any kind", ""), *((kind.replace("_", " "), kind) for kind in self.kinds)]
        self.kind = w.Dropdown(options=options, description="kind", **WIDE)
        self.outcomes = {
            method: w.Dropdown(options=OUTCOMES, description=look_of(LOOKS, method).label, **WIDE)
            for method in self.methods
        }
        self.sample = w.Dropdown(description="sample", **WIDE)
        return [self.kind, *self.outcomes.values(), self.sample]

    def _asking(self) -> list[w.Widget]:
        typed = WIDE | {"continuous_update": False}
        self.question = w.Textarea(description="question", rows=2, **typed)
        self.options = w.Text(description="options", placeholder="red; blue (empty: free answer)", **typed)
        self.entities = w.Text(description="entities", placeholder="empty: the model lists them", **typed)
        self.upload = w.FileUpload(accept="image/*", description="Own picture", tooltip="load a picture", **FULL)
        tip = "run the model once: entities of the question, attention rows at every layer"
        self.search = w.Button(description="Search this question", icon="search", tooltip=tip, **FULL)
        return [self.question, self.options, self.entities, self.upload, self.search]

    def _tuning(self) -> list[w.Widget]:
        self.layer = w.IntSlider(min=0, max=self.n_layers - 1, description="layer", **WIDE)
        self.sigma = w.FloatSlider(min=0, max=8, step=0.25, description="σ (cells)", readout_format=".2f", **WIDE)
        self.alpha = w.FloatSlider(min=0.01, max=1, step=0.01, description="α", readout_format=".2f", **WIDE)
        layouts = [(name.replace("_", " "), name) for name in LAYOUTS]
        self.layout = w.Dropdown(options=layouts, description="layout", **WIDE)
        self.noise_prior = w.Checkbox(value=True, description="subtract the noise prior", indent=False, **FULL)
        tip = "run the model: the direct answer, and the one with the second picture as shown"
        self.ask = w.Button(description="Answer again", icon="play", button_style="primary", tooltip=tip, **FULL)
        tip = "write this view as PDF and PNG with a sidecar that says what made it"
        self.save = w.Button(description="Save as figure", icon="save", tooltip=tip, **FULL)
        return [self.layer, self.sigma, self.alpha, self.layout, self.noise_prior, self.ask, self.save]

    def _panes(self) -> None:
        self.status = w.HTML(value=status_html("starting"))
        self.picture = ImagePane("picture with the map of all tokens, regions (solid) and true boxes (dashed)", 640)
        self.compact = ImagePane("second picture: the regions in the chosen layout", 320)
        self.legend, self.caption, self.answers = w.HTML(), w.HTML(), w.HTML()
        self.numbers, self.timings, self.command = w.HTML(), w.HTML(), CommandPane()
        self.tokens = w.Box(layout=WRAPPED | {"grid_gap": "6px", "align_items": None})

    def _right(self) -> list[w.Widget]:
        first = w.VBox([self.picture, self.legend], layout={"flex": "3 1 300px", "min_width": "260px"})
        second = [self.answers, self.compact, self.caption]
        pictures = [first, w.VBox(second, layout={"flex": "2 1 200px", "min_width": "200px"})]
        tables = [w.VBox([_heading("Numbers"), self.numbers]), w.VBox([_heading("Time"), self.timings])]
        tokens = [_heading("Tokens (press one to leave it out)"), self.tokens]
        return [w.Box(pictures, layout=WRAPPED), *tokens, w.Box(tables, layout=WRAPPED)]

    def show_case(self, case: Case, most_tokens: int, toggled: Callable[[object], None]) -> None:
        """Show a case's question, and a picture and a chip for each of its first tokens.

        Args:
            case: to show.
            most_tokens: that have a picture and a chip.
            toggled: called when a chip is pressed.
        """
        self.question.value, self.entities.value = case.question, case.entities.text
        self.options.value = "; ".join(map(_quoted, case.options or []))
        for chip in self.chips:
            chip.unobserve_all()
        names = [token or "␣" for token in case.attention.tokens]
        names, rest = names[:most_tokens], len(names[most_tokens:])
        self.chips = [
            w.ToggleButton(True, description=name, tooltip=f"count the token “{name}”", layout={"width": "100px"})
            for name in names
        ]
        self.thumbs = [ImagePane(f"purified map of the token “{name}”", 100) for name in names]
        for chip in self.chips:
            chip.observe(toggled, "value")
        pairs = [w.VBox([thumb, chip]) for thumb, chip in zip(self.thumbs, self.chips, strict=True)]
        self.tokens.children = [*pairs, *([w.Label(f"and {rest} more, which always count")] if rest else [])]

    @property
    def knobs(self) -> Knobs:
        """The settings that the controls stand at."""
        off = tuple(i for i, chip in enumerate(self.chips) if not chip.value)
        # A dragged slider sends 0.35000000000000003 for 0.35.
        sigma, alpha = round(self.sigma.value, 6), round(self.alpha.value, 6)
        return Knobs(self.layer.value, sigma, alpha, self.noise_prior.value, off, self.layout.value)

    @property
    def typed(self) -> tuple[str, list[str] | None, str]:
        """Question, options and entities as typed. Without options these are None; entities may be empty.

        An option that holds a semicolon stands in double quotes, as in a CSV file.
        """
        (parts,) = csv.reader([self.options.value], delimiter=";", skipinitialspace=True)
        options = [part.strip() for part in parts if part.strip()]
        return self.question.value.strip(), options or None, self.entities.value.strip()

    def turn(self, knobs: Knobs) -> None:
        """Set the controls to settings, except for the tokens."""
        for name in TURNED:
            getattr(self, name).value = getattr(knobs, name)

    @property
    def enabled(self) -> list[w.Widget]:
        """What the user can change or press."""
        return [*self._controls, *self.chips]

    @contextmanager
    def disabled(self):
        """A context in which no control can be used."""
        for control in self.enabled:
            control.disabled = True
        try:
            yield
        finally:
            for control in self.enabled:
                control.disabled = False


def status_html(text: str, busy: bool = False) -> str:
    """The line above everything, which screen readers read out: what is going on, or how the last action ended."""
    mark = "⏳ " if busy else ""
    live = f'role="status" aria-live="polite" aria-busy="{str(busy).lower()}"'
    return f"<div {live}>{mark}{html.escape(text)}</div>"


def _heading(text: str) -> w.HTML:
    return w.HTML(f"<h4>{html.escape(text)}</h4>")


def _quoted(option: str) -> str:
    """An option as `csv` reads it back from among others with semicolons between them."""
    return '"{}"'.format(option.replace('"', '""')) if re.search('[;\r\n]|^"', option) else option
