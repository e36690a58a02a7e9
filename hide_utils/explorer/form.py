"""The explorer's controls as widgets, and how everything is laid out; what the controls do is in `app`."""

from __future__ import annotations

import csv
import html
import re
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import ipywidgets as w

from hide_utils.baselines import LOOKS
from hide_utils.edits.layouts import LAYOUTS
from hide_utils.explorer.case import Case, Knobs
from hide_utils.explorer.galleries import STEPS
from hide_utils.explorer.pane import WRAPPED, Pane
from hide_utils.explorer.strips import Strips
from hide_utils.explorer.widgets import CommandPane
from hide_utils.looks import look_of
from hide_utils.method.lpd import Region

FULL = {"layout": {"width": "auto"}}
WIDE = FULL | {"style": {"description_width": "76px"}}
ANY = "any"  # the filter that lets everything pass; None would be no choice at all to ipywidgets
TURNED = ("layer", "sigma", "alpha", "noise_prior", "layout")  # fields of `Knobs` that have a control of their name
OUTCOMES = [(ANY, ANY), ("right", True), ("wrong", False)]


@dataclass
class Form:
    """Every widget of the explorer.

    Attributes:
        kinds: kinds of question that can be filtered by.
        methods: that were evaluated, each with a filter of its own.
        models: names of the models that can be chosen.
        pane: what is shown.
        pinned: what was pinned beside it.
        strips: what stands below.
        box: holds all widgets.
    """

    kinds: Sequence[str]
    methods: Sequence[str]
    models: Sequence[str]

    def __post_init__(self) -> None:
        groups = {"Sample": self._offering(), "Question": self._asking(), "Settings": self._tuning()}
        groups["Do"] = self._doing()
        self._controls = [control for group in groups.values() for control in group]
        self._panes()
        controls = w.Box([w.VBox([_heading(name), *group]) for name, group in groups.items()])
        panes = w.Box([self.pinned.box, self.pane.box], layout=WRAPPED)
        areas = {"controls": controls, "panes": panes, "strips": w.VBox(self._below())}
        for name, area in areas.items():
            area.add_class(f"hide-{name}")
        body = w.Box(list(areas.values()))
        body.add_class("hide-body")  # explorer.css says where they stand in wide and in narrow windows
        self.box = w.VBox([self.status, body, self.command])
        self.box.add_class("hide-explorer")

    def _offering(self) -> list[w.Widget]:
        options = [("any kind", ""), *((kind.replace("_", " "), kind) for kind in self.kinds)]
        self.kind = w.Dropdown(options=options, description="kind", **WIDE)
        self.outcomes = {
            method: w.Dropdown(options=OUTCOMES, description=look_of(LOOKS, method).label, **WIDE)
            for method in self.methods
        }
        self.sample = w.Dropdown(description="sample", **WIDE)
        names = [(name, number) for number, name in enumerate(self.models)]
        self.model = w.Dropdown(options=names, description="model", **WIDE)
        several = [self.model] if len(names) > 1 else []
        return [self.kind, *self.outcomes.values(), self.sample, *several]

    def _asking(self) -> list[w.Widget]:
        typed = WIDE | {"continuous_update": False}
        self.question = w.Textarea(description="question", rows=3, **typed)
        self.options = w.Text(description="options", placeholder="red; blue (empty: free answer)", **typed)
        self.entities = w.Text(description="entities", placeholder="empty: the model lists them", **typed)
        self.upload = w.FileUpload(accept="image/*", description="Own picture", tooltip="load a picture", **FULL)
        tip = "run the model once: entities of the question, attention rows at every layer"
        self.search = w.Button(description="Search this question", icon="search", tooltip=tip, **FULL)
        return [self.question, self.options, self.entities, self.upload, self.search]

    def _tuning(self) -> list[w.Widget]:
        self.layer = w.SelectionSlider(options=[("1", 0)], description="layer", **WIDE)
        self.sigma = w.FloatSlider(min=0, max=8, step=0.25, description="σ (cells)", readout_format=".2f", **WIDE)
        self.alpha = w.FloatSlider(min=0.01, max=1, step=0.01, description="α", readout_format=".2f", **WIDE)
        layouts = [(name.replace("_", " "), name) for name in LAYOUTS]
        self.layout = w.Dropdown(options=layouts, description="layout", **WIDE)
        self.step = w.Dropdown(options=list(STEPS), description="map", **WIDE)
        hint = "draw on the picture, or x0 y0 x1 y1; …"
        self.own = w.Text(description="own boxes", placeholder=hint, continuous_update=False, **WIDE)
        self.noise_prior = w.Checkbox(value=True, description="subtract the noise prior", indent=False, **FULL)
        self.heads = w.Checkbox(value=False, description="show the heads of the layer", indent=False, **FULL)
        return [
            *(self.step, self.layer, self.sigma, self.alpha, self.layout),
            *(self.own, self.noise_prior, self.heads),
        ]

    def _doing(self) -> list[w.Widget]:
        def button(text: str, icon: str, tip: str, style: str = "") -> w.Button:
            return w.Button(description=text, icon=icon, tooltip=tip, button_style=style, **FULL)

        tip = "run the model: the direct answer, and the one with the second picture as shown"
        self.ask = button("Answer", "play", tip, "primary")
        tip = "keep this view beside what you change next: question, settings, layer or model"
        self.pin = button("Pin beside", "columns", tip)
        self.reset = button("Reset", "undo", "the model's own settings, all tokens and heads, no boxes of your own")
        tip = "write this view as PDF and PNG with a sidecar that says what made it"
        self.save = button("Save as figure", "save", tip)
        return [self.ask, self.pin, self.reset, self.save]

    def _panes(self) -> None:
        self.status = w.HTML(value=status_html("starting"))
        self.pane, self.pinned, self.strips = Pane("now"), Pane("pinned", fixed=True), Strips()
        self.pinned.box.layout.display = "none"
        for shared in ("zoom", "opacity"):
            w.jslink((self.pane.map, shared), (self.pinned.map, shared))
        self.differences, self.numbers, self.timings = w.HTML(), w.HTML(), w.HTML()
        self.compared = w.VBox([_heading("What differs"), self.differences], layout={"display": "none"})
        self.command = CommandPane()

    def _below(self) -> list[w.Widget]:
        tables = [w.VBox([_heading("Numbers"), self.numbers]), w.VBox([_heading("Time"), self.timings])]
        return [self.compared, *self.strips.sections, w.Box(tables, layout=WRAPPED)]

    def show_case(self, case: Case) -> None:
        """Show a case's question, picture, tokens and layers, before its view."""
        self.question.value, self.entities.value = case.question, case.entities.text
        self.options.value = "; ".join(map(_quoted, case.options or []))
        self.own.value = ""
        offered = [(str(layer + 1), layer) for layer in case.attention.layers]
        if list(self.layer.options) != offered:
            self.layer.options = offered
        self.pane.show_case(case)
        self.strips.show_case(case)

    def show_pinned(self, pinned: bool) -> None:
        """Show the second pane and the table of differences, or hide both."""
        for part in (self.pinned.box, self.compared):
            part.layout.display = None if pinned else "none"
        self.pin.description = "Unpin" if pinned else "Pin beside"

    @property
    def knobs(self) -> Knobs:
        """The settings that the controls stand at.

        Raises:
            ValueError: for boxes of one's own that cannot be read.
        """
        # A dragged slider sends 0.35000000000000003 for 0.35.
        sigma, alpha = round(self.sigma.value, 6), round(self.alpha.value, 6)
        heads = tuple(self.strips.heads.chosen) if self.heads.value else ()
        off = self.strips.tokens_off
        turned = (self.layer.value, sigma, alpha, self.noise_prior.value, off, self.layout.value)
        return Knobs(*turned, heads, read_boxes(self.own.value))

    @property
    def typed(self) -> tuple[str, list[str] | None, str]:
        """Question, options and entities as typed. Without options these are None; entities may be empty.

        An option that holds a semicolon stands in double quotes, as in a CSV file.
        """
        (parts,) = csv.reader([self.options.value], delimiter=";", skipinitialspace=True)
        options = [part.strip() for part in parts if part.strip()]
        return self.question.value.strip(), options or None, self.entities.value.strip()

    def turn(self, knobs: Knobs) -> None:
        """Set all controls to settings, those of tokens, heads and boxes of one's own too."""
        for name in TURNED:
            getattr(self, name).value = getattr(knobs, name)
        strips, self.heads.value = self.strips, self.heads.value or bool(knobs.heads)
        strips.tokens.chosen = [i for i in range(len(strips.tokens.labels)) if i not in knobs.tokens_off]
        strips.heads.chosen = list(knobs.heads)
        self.own.value = written(knobs.own_boxes)

    @property
    def enabled(self) -> list[w.Widget]:
        """What the user can change or press."""
        return [*self._controls, self.strips.tokens, self.strips.layers, self.strips.heads]

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


def read_boxes(text: str) -> tuple[Region, ...]:
    """Boxes as typed: x0 y0 x1 y1 of each in pixels, with semicolons between boxes.

    Raises:
        ValueError: one is not made of four whole numbers, with x0 < x1 and y0 < y1.
    """
    found = []
    for part in filter(str.strip, text.split(";")):
        try:
            x0, y0, x1, y1 = map(int, part.replace(",", " ").split())
        except ValueError:
            raise ValueError(
                f"own boxes: want x0 y0 x1 y1 in whole pixels, as 40 30 120 90, not {part.strip()!r}"
            ) from None
        if not (x0 < x1 and y0 < y1):
            raise ValueError(f"own boxes: x0 < x1 and y0 < y1 do not hold for {part.strip()!r}")
        found.append((x0, y0, x1, y1))
    return tuple(found)


def written(boxes: Sequence[Sequence[float]]) -> str:
    """Boxes as `read_boxes` reads them."""
    return "; ".join(" ".join(map(str, box)) for box in boxes)


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
