"""The explorer: drag a slider and see what HiDe sees. `Explorer(hide, samples, answers, config=cfg)` in a notebook."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from torch import OutOfMemoryError

from hide_utils import paths
from hide_utils.config import RunConfig
from hide_utils.evaluation.captured import RowCache
from hide_utils.evaluation.provenance import hash_json, provenance
from hide_utils.evaluation.saving import save_figure
from hide_utils.explorer import panes
from hide_utils.explorer.case import Case, Knobs, View, answer, command_line, look, open_own, open_sample
from hide_utils.explorer.choice import Choice, chosen_case, first_case
from hide_utils.explorer.form import ANY, Form, command_html, status_html
from hide_utils.files import replace_file
from hide_utils.images import read_image
from hide_utils.method.entities import given_entities
from hide_utils.method.hide import HiDe
from hide_utils.samples import Sample

USER_ERRORS = (ValueError, OSError, OutOfMemoryError)  # said in the status line; the explorer goes on
PAUSE = 0.03  # seconds within which values that follow one another are drawn as one


class Explorer:
    """Widgets over captured rows: choose or load a picture, move the settings, and see maps, boxes and the layout.

    The model runs when a case is opened (one search; none where the cache has its rows) and when it is asked to answer.

    Args:
        hide: the method; its settings are where the sliders start, unless the configuration names others.
        samples: to choose from, at least one.
        answers: rows of `evaluate` for these samples, to filter by what was right; None: no filters.
        config: the notebook's; it says what is shown first (`sample` or `image`, `question`, `options`, `entities`,
            `layer`, `sigma`, `alpha`, `noise_prior`, `tokens_off`, `layout`).
        cache: where rows are kept; None: nowhere.

    `case`, `knobs` and `view` are what is shown, `status` the line above it; `draws` counts the redraws, `seconds` is
    what the last one took. Raises ValueError without samples, and for an unknown sample (with the nearest) or token.
    """

    def __init__(
        self,
        hide: HiDe,
        samples: Sequence[Sample],
        answers: pd.DataFrame | None = None,
        *,
        config: RunConfig,
        cache: RowCache | None = None,
    ) -> None:
        self.hide, self.config, self.cache = hide, config, cache
        self.choice = Choice(samples, answers)
        self.upload: Path | None = None
        self.draws, self.seconds, self.status, self._quiet = 0, 0.0, "", False
        self._pending: asyncio.TimerHandle | None = None
        self.form = Form(self.choice.kinds, self.choice.methods, hide.model.n_layers)
        with self._silent():
            self._start()
        self._draw()
        self._observe()
        self._say("ready: drag a slider, or choose another sample")

    def _start(self) -> None:
        config, form = self.config, self.form
        given = {k: value for k in ("layer", "sigma", "alpha") if (value := getattr(config, k)) is not None}
        knobs = replace(self._own_settings(), **given, prior=config.noise_prior, layout=config.layout)
        form.layer.value, form.sigma.value, form.alpha.value = knobs.layer, knobs.sigma, knobs.alpha
        form.prior.value, form.layout.value = knobs.prior, knobs.layout
        self._set(first_case(self.hide, self.choice, config, self.cache))
        if wrong := [i for i in config.tokens_off if i >= len(form.chips)]:
            raise ValueError(f"tokens_off {wrong}: the search has {len(form.chips)} tokens, counted from 0")
        for i in config.tokens_off:
            form.chips[i].value = False

    # --- what is shown ----------------------------------------------------------------------------------------------

    def open(self, sample_id: str) -> None:
        """Show a sample. Raises ValueError for an unknown one, with the nearest."""
        self.show(chosen_case(self.hide, self.choice, sample_id, self.cache))

    def show(self, case: Case) -> None:
        """Show a case, whose rows must be of all layers of the model."""
        self._set(case)
        self._draw()

    def _set(self, case: Case) -> None:
        self.case, self.upload = case, None
        self._base, self._thumb = (panes.fitted(case.image, side) for side in (panes.PICTURE, panes.THUMB))
        with self._silent():
            self._list_samples()
            self.form.question.value = case.question
            self.form.options.value = "; ".join(case.options or [])
            self.form.entities.value = case.entities.text
            self.form.show_tokens(case.found.tokens, panes.MOST_THUMBS, self._changed)

    def _list_samples(self) -> None:
        """Offer the samples that pass the filters; the one that is shown stays chosen if it is among them."""
        form, shown = self.form, self.case.sample
        wanted = {method: box.value for method, box in form.outcomes.items() if box.value != ANY}
        form.sample.options = self.choice.passing(None if form.kind.value == ANY else form.kind.value, wanted)
        ids = [sample_id for _, sample_id in form.sample.options]
        form.sample.value = shown.id if shown and shown.id in ids else None

    @property
    def knobs(self) -> Knobs:
        """The settings that the controls stand at."""
        form = self.form
        off = tuple(i for i, chip in enumerate(form.chips) if not chip.value)
        sigma, alpha = (
            round(form.sigma.value, 6),
            round(form.alpha.value, 6),
        )  # a dragged slider sends 0.35000000000000003
        return Knobs(form.layer.value, sigma, alpha, form.prior.value, off, form.layout.value)

    def _own_settings(self) -> Knobs:
        settings = self.hide.settings
        return Knobs(settings.layer, round(settings.sigma, 6), round(settings.alpha, 6))

    @property
    def view(self) -> View:
        """What the rows give under the settings; what waits to be drawn is drawn first."""
        if self._pending is not None:
            self._pending.cancel()
            self._draw()
        return self._view

    def _draw(self) -> None:
        started, self._pending, form, knobs = time.perf_counter(), None, self.form, self.knobs
        self._view = view = look(self.case, knobs)
        form.picture.show(panes.picture_pane(self._base, self.case, view))
        for thumb, content in zip(form.thumbs, panes.token_panes(self._thumb, view), strict=True):
            thumb.show(content)
        form.compact.show(panes.compact_pane(view))
        form.legend.value = panes.legend_html(self.case, knobs, self.hide.model.n_layers)
        form.caption.value = panes.caption_html(view, knobs)
        self._texts()
        self.draws, self.seconds = self.draws + 1, time.perf_counter() - started
        form.timings.value = panes.timings_html(self.case, self.seconds)

    def _texts(self) -> None:
        form, sample, knobs = self.form, self.case.sample, self.knobs
        stored = self.choice.letters(sample.id) if sample else {}
        if knobs != self._own_settings():
            stored.pop("hide", None)
        form.answers.value = panes.answers_html(self.case, knobs, stored)
        form.numbers.value = panes.numbers_html(self.case, self._view)
        form.command.value = command_html(self.command)

    # --- what the buttons do ----------------------------------------------------------------------------------------

    def answer(self) -> None:
        """Ask the model: the direct answer, and the one with the second picture as it is shown."""
        answer(self.hide, self.case, self.knobs, self.view)
        self._texts()
        self.form.timings.value = panes.timings_html(self.case, self.seconds)

    def search(self) -> None:
        """Open the question as typed, about the uploaded picture or else the one that is shown."""
        form, shown = self.form, self.case
        options = [part.strip() for part in form.options.value.split(";") if part.strip()] or None
        text = form.entities.value.strip()
        typed = given_entities(text) if text and text != shown.entities.text else None
        asked = (form.question.value.strip(), options)
        same = (
            self.upload is None and asked[0] == shown.question
        )  # then what was searched for is, unless it was cleared
        entities = typed or (shown.entities if same and text else None)
        if self.upload is not None:
            case = replace(open_own(self.hide, self.upload, *asked, entities, self.upload.name), path=self.upload)
        elif shown.sample and asked == (shown.question, shown.options):
            case = open_sample(self.hide, shown.sample, entities, self.cache)
        else:
            case = replace(open_own(self.hide, shown.image, *asked, entities, shown.name), path=shown.path)
        self.show(case)

    def save(self, name: str | None = None) -> list[Path]:
        """Write the view as PDF and PNG with its sidecar, below the folder of figures; returns the paths.

        name: of the files; None makes one of the case and the settings.
        """
        case, knobs = self.case, self.knobs
        seen = {"case": case.name, "question": case.question, "entities": case.entities.text} | asdict(knobs)
        said = f"The explorer's view of {case.name}: {case.question}"
        entry = provenance(config=self.config, samples=[case.sample] if case.sample else [], view=seen, caption=said)
        plain = re.sub(r"[^\w-]+", "-", case.name)[:60]
        fig = self.figure()
        files = save_figure(fig, name or f"view-{plain}-{hash_json(seen)[:8]}", self.config.notebook, entry)
        plt.close(fig)
        return files

    def figure(self) -> Figure:
        """The view as a matplotlib figure."""
        return panes.figure(self.hide.model.name, self.case, self.knobs, self.view)

    @property
    def command(self) -> str:
        """The command line that shows this view in a run of the notebook."""
        return command_line(self.config, self.case, self.knobs)

    # --- events -----------------------------------------------------------------------------------------------------

    def _observe(self) -> None:
        form = self.form
        for control in (form.layer, form.sigma, form.alpha, form.prior, form.layout):
            control.observe(self._changed, "value")
        for control in (form.kind, *form.outcomes.values()):
            control.observe(self._filtered, "value")
        form.sample.observe(self._chosen, "value")
        form.upload.observe(self._uploaded, "value")
        form.search.on_click(lambda _: self._run("searching", self.search))
        form.answer.on_click(lambda _: self._run("answering", self.answer))
        form.save.on_click(lambda _: self._run("saving", lambda: paths.portable(self.save()[0])))

    def _changed(self, _: object) -> None:
        """Redraw soon: of values that follow within `PAUSE` (a slider being dragged) the last alone is drawn."""
        if self._quiet or self._pending is not None:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # outside a kernel nothing else would come to draw later
            self._draw()
            return
        self._pending = loop.call_later(PAUSE, self._draw)

    def _filtered(self, _: object) -> None:
        with self._silent():
            self._list_samples()
        form = self.form
        if not form.sample.options:
            self._say("no sample passes the filters")
        elif form.sample.value is None:
            form.sample.value = form.sample.options[0][1]
        else:
            self._say(f"{len(form.sample.options)} of {len(self.choice.samples)} samples pass the filters")

    def _chosen(self, change: dict) -> None:
        if not self._quiet and change["new"] is not None:
            self._run("searching", lambda: self.open(change["new"]))

    def _uploaded(self, change: dict) -> None:
        def keep() -> str:
            content = bytes(change["new"][0]["content"])
            read_image(content)  # refuses what is no picture before it is kept
            name = hashlib.sha256(content).hexdigest()[:12] + Path(change["new"][0]["name"]).suffix
            self.upload = paths.CACHE / "pictures" / name
            replace_file(self.upload, lambda temporary: temporary.write_bytes(content))
            return "picture loaded: type a question and press “Search this question”"

        if change["new"]:
            self._run("reading the picture", keep)

    def _run(self, doing: str, action: Callable[[], str | None]) -> None:
        """Do what a control asks for, with the busy state on; a user's mistake is said in the status line."""
        started = time.perf_counter()
        self._say(f"{doing} …", busy=True)
        with self.form.disabled():
            try:
                said = action()
                self._say(f"{doing}: done in {time.perf_counter() - started:.1f} s" + (f" · {said}" if said else ""))
            except USER_ERRORS as error:
                self._say(f"{doing} failed: {error}")

    def _say(self, text: str, busy: bool = False) -> None:
        self.status, self.form.status.value = text, status_html(text, busy)

    @contextmanager
    def _silent(self) -> Iterator[None]:
        """Changes made within it are the explorer's own, not the user's."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    def __repr__(self) -> str:
        return f"Explorer({len(self.choice.samples)} samples, showing {self.case.name}, {self.knobs})"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """The widgets, and for whoever cannot run them (the web, a printout) the same view as a picture."""
        fig, stream = self.figure(), io.BytesIO()
        fig.savefig(stream, format="png", dpi=96)
        plt.close(fig)
        widgets = self.form.box._repr_mimebundle_()
        return widgets | {"text/plain": repr(self), "image/png": base64.b64encode(stream.getvalue()).decode()}
