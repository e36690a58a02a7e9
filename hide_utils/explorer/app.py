"""The explorer itself, which connects the controls with what they change."""

from __future__ import annotations

import asyncio
import base64
import io
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from torch import OutOfMemoryError

from hide_utils import paths
from hide_utils.analyses.explorer import ExplorerConfig
from hide_utils.evaluation import RowCache, picture_entry, provenance_entry, save_figure
from hide_utils.explorer import panes
from hide_utils.explorer.case import Case, Knobs, View, ask_model, command_line, view_of
from hide_utils.explorer.form import ANY, TURNED, Form, status_html
from hide_utils.explorer.opening import keep_picture, open_first, open_listed, open_typed
from hide_utils.explorer.sample_list import SampleList
from hide_utils.files import hash_json
from hide_utils.method.hide import HiDe
from hide_utils.plots import every_letter
from hide_utils.samples import Sample

USER_ERRORS = (ValueError, OSError, OutOfMemoryError)  # shown in the status line, after which the explorer goes on
PAUSE = 0.03  # seconds: of the values that come within it, the last alone is drawn


class Explorer:
    """Widgets over captured rows: choose or load a picture, move the settings, and see maps, boxes and the layout.

    The model runs when it is asked to answer, and once when a case is opened whose rows are not in the cache.

    Args:
        hide: the method. The sliders start at its settings, unless `config` names others.
        samples: to choose from, at least one.
        answers: rows of `evaluate` for these samples, to filter by what was right. None gives no filters.
        config: parameters of the notebook. They say what is shown first: `sample` or `image`, `question`, `options`,
            `entities`, `layer`, `sigma`, `alpha`, `noise_prior`, `tokens_off` and `layout`.
        cache: where rows are kept. None keeps them nowhere.

    Attributes:
        case: question and picture that are shown.
        knobs: settings that the controls stand at.
        view: what the case's rows give under them.
        status: the line above everything.
        draws: number of redraws so far.
        seconds: that the last redraw took.

    Raises:
        ValueError: without samples, for an unknown sample, with the nearest, and for a token that the search lacks.
    """

    def __init__(
        self,
        hide: HiDe,
        samples: Sequence[Sample],
        answers: pd.DataFrame | None = None,
        *,
        config: ExplorerConfig,
        cache: RowCache | None = None,
    ) -> None:
        self.hide, self.config, self.cache = hide, config, cache
        self.listed = SampleList(samples, answers)
        self.upload: Path | None = None
        self.draws, self.seconds, self.status, self._quiet = 0, 0.0, "", False
        self._pending: asyncio.TimerHandle | None = None
        self.form = Form(self.listed.kinds, self.listed.methods, hide.model.n_layers)
        with self._silent():
            self._start()
        self._draw()
        self._observe()
        self._say("ready: drag a slider, or choose another sample")

    def _start(self) -> None:
        config = self.config
        given = {name: value for name in TURNED if (value := getattr(config, name)) is not None}
        self.form.turn(replace(self._own_settings(), **given))
        self._set(open_first(self.hide, self.listed, config, self.cache))
        if wrong := [i for i in config.tokens_off if i >= len(self.form.chips)]:
            raise ValueError(f"tokens_off {wrong}: the search has {len(self.form.chips)} tokens, counted from 0")
        for i in config.tokens_off:
            self.form.chips[i].value = False

    # --- what is shown ----------------------------------------------------------------------------------------------

    def open(self, sample_id: str) -> None:
        """Show a sample.

        Raises:
            ValueError: for an unknown id, with the nearest.
        """
        self.show(open_listed(self.hide, self.listed, sample_id, self.cache))

    def show(self, case: Case) -> None:
        """Show a case, whose rows must be those of all layers of the model."""
        self._set(case)
        self._draw()

    def _set(self, case: Case) -> None:
        self.case, self.upload = case, None
        self._base, self._thumb = (panes.fitted(case.image, side) for side in (panes.PICTURE, panes.THUMB))
        with self._silent():
            self._list_samples()
            self.form.show_case(case, panes.MOST_THUMBS, self._changed)

    def _list_samples(self) -> None:
        """Offer the samples that pass the filters. The one that is shown stays chosen if it is among them."""
        form, shown = self.form, self.case.sample
        wanted = {method: box.value for method, box in form.outcomes.items() if box.value != ANY}
        form.sample.options = self.listed.passing(form.kind.value or None, wanted)
        ids = [sample_id for _, sample_id in form.sample.options]
        form.sample.value = shown.id if shown and shown.id in ids else None

    @property
    def knobs(self) -> Knobs:
        """The settings that the controls stand at."""
        return self.form.knobs

    def _own_settings(self) -> Knobs:
        """The settings of the method itself."""
        settings = self.hide.settings
        return Knobs(settings.layer, round(settings.sigma, 6), round(settings.alpha, 6))

    @property
    def view(self) -> View:
        """What the rows give under the settings. A redraw that is waiting is done first."""
        if self._pending is not None:
            self._pending.cancel()
            self._draw()
        return self._view

    def _draw(self) -> None:
        started, self._pending, form, knobs = time.perf_counter(), None, self.form, self.knobs
        self._view = view = view_of(self.case, knobs)
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
        stored = self.listed.letters(sample.id) if sample else {}
        if knobs != self._own_settings():
            stored.pop("hide", None)
        form.answers.value = panes.answers_html(self.case, knobs, stored)
        form.numbers.value = panes.numbers_html(self.case, self._view)
        form.command.value = self.command

    # --- what the buttons do ----------------------------------------------------------------------------------------

    def ask(self) -> None:
        """Have the model answer without the second picture, and with it as it is shown."""
        ask_model(self.hide, self.case, self.knobs, self.view)
        self._texts()
        self.form.timings.value = panes.timings_html(self.case, self.seconds)

    def search(self) -> None:
        """Open the question as typed, about the uploaded picture or else the one that is shown.

        Raises:
            ValueError: for an empty question and for a single option.
        """
        self.show(open_typed(self.hide, self.case, self.form.typed, self.upload, self.cache))

    def save(self, name: str | None = None) -> list[Path]:
        """Write the view as PDF and PNG with its sidecar, below the folder of figures.

        Args:
            name: of the files, without suffix. None makes one of the case and the settings.

        Returns:
            Paths of the files.
        """
        case, knobs = self.case, self.knobs
        seen = {"case": case.name, "question": case.question, "entities": case.entities.text} | asdict(knobs)
        said = f"The explorer's view of {case.name}: {case.question}"
        own: dict[str, Any] = {"picture": picture_entry(case.path, case.question, case.options)} if case.path else {}
        samples = [case.sample] if case.sample else None
        entry = provenance_entry(config=self.config, samples=samples, view=seen, caption=said, **own)
        safe_name = re.sub(r"[^\w-]+", "-", case.name)[:60]
        fig = self.figure()
        files = save_figure(fig, name or f"view-{safe_name}-{hash_json(seen)[:8]}", self.config.notebook, entry)
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
        for name in TURNED:
            getattr(form, name).observe(self._changed, "value")
        for control in (form.kind, *form.outcomes.values()):
            control.observe(self._filtered, "value")
        form.sample.observe(self._chosen, "value")
        form.upload.observe(self._uploaded, "value")
        form.search.on_click(lambda _: self._run("searching", self.search))
        form.ask.on_click(lambda _: self._run("answering", self.ask))
        form.save.on_click(lambda _: self._run("saving", lambda: paths.portable(self.save()[0])))

    def _changed(self, _: object) -> None:
        """Redraw soon: of the values that a dragged slider sends within `PAUSE`, the last alone is drawn."""
        if self._quiet or self._pending is not None:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # outside a kernel there is no loop that could draw later
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
            self._say(f"{len(form.sample.options)} of {len(self.listed.samples)} samples pass the filters")

    def _chosen(self, change: dict) -> None:
        if not self._quiet and change["new"] is not None:
            self._run("searching", lambda: self.open(change["new"]))

    def _uploaded(self, change: dict) -> None:
        def keep() -> str:
            self.upload = keep_picture(change["new"][0]["name"], bytes(change["new"][0]["content"]))
            return "picture loaded: type a question and press “Search this question”"

        if change["new"]:
            self._run("reading the picture", keep)

    def _run(self, doing: str, action: Callable[[], str | None]) -> None:
        """Do what a control asks for, with the controls off and the status line saying so.

        An error that the user can mend is shown in the status line.

        Args:
            doing: what is done, in words.
            action: does it, and may return more to say in the end.
        """
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
        """A context in which changes of widgets are the explorer's own and set nothing off."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    def __repr__(self) -> str:
        return f"Explorer({len(self.listed.samples)} samples, showing {self.case.name}, {self.knobs})"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """The widgets, and the same view as a picture for where they cannot run: on the web, in a printout."""
        fig, stream = self.figure(), io.BytesIO()
        with every_letter(fig):
            fig.savefig(stream, format="png", dpi=96)
        plt.close(fig)
        widgets = self.form.box._repr_mimebundle_()
        return widgets | {"text/plain": repr(self), "image/png": base64.b64encode(stream.getvalue()).decode()}
