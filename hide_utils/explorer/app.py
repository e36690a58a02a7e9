"""The explorer itself, which connects the controls with what they change."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from hide_utils.analyses.explorer import ExplorerConfig
from hide_utils.evaluation import RowCache
from hide_utils.explorer import said
from hide_utils.explorer.asking import ask_model, command_line
from hide_utils.explorer.case import Case, Knobs, Shown, View, own_settings, view_of
from hide_utils.explorer.drawing import draw_panes, write_numbers
from hide_utils.explorer.events import Events
from hide_utils.explorer.export import arrays_file, save_view
from hide_utils.explorer.form import ANY, TURNED, Form
from hide_utils.explorer.opening import open_first, open_listed, open_typed
from hide_utils.explorer.sample_list import SampleList
from hide_utils.method.hide import HiDe
from hide_utils.plots import every_letter
from hide_utils.samples import Sample


class Explorer(Events):
    """Widgets over captured rows: choose or load a picture, move the settings, and see maps, boxes and the layout.

    The model runs when it is asked to answer, once when a case is opened whose rows are not in the cache, and for the
    heads of a layer while these are shown.

    Args:
        hide: the method. The sliders start at its settings, unless `config` names others.
        samples: to choose from, at least one.
        answers: rows of `evaluate` for these samples, to filter by what was right. None gives no filters.
        config: parameters of the notebook. They say what is shown first: `sample` or `image`, `question`, `options`,
            `entities`, `layer`, `sigma`, `alpha`, `noise_prior`, `tokens_off`, `layout`, `heads` and `own_boxes`.
        cache: where rows are kept. None keeps them nowhere.
        others: the method with other models, which can be chosen instead.

    Attributes:
        hide: the method with the model that is chosen.
        case: question and picture that are shown.
        knobs: settings that the controls stand at.
        view: what the case's rows give under them.
        pinned: what stands beside it; None where nothing does.
        status: the line above everything.
        draws: number of redraws so far.
        seconds: that the last redraw took.

    Raises:
        ValueError: without samples, for an unknown sample, with the nearest, and for a token or head that is not there.
    """

    def __init__(
        self,
        hide: HiDe,
        samples: Sequence[Sample],
        answers: pd.DataFrame | None = None,
        *,
        config: ExplorerConfig,
        cache: RowCache | None = None,
        others: Sequence[HiDe] = (),
    ) -> None:
        self.hide, self.hides, self.config, self.cache = hide, [hide, *others], config, cache
        self.listed = SampleList(samples, answers)
        self.upload: Path | None = None
        self.pinned: Shown | None = None
        self.draws, self.seconds, self.status, self._quiet = 0, 0.0, "", False
        self.form = Form(self.listed.kinds, self.listed.methods, [one.model.name for one in self.hides])
        with self._silent():
            self._start()
        self._draw()
        self._observe()
        self._say("ready: drag a slider, or choose another sample")

    def _start(self) -> None:
        config = self.config
        self._set(open_first(self.hide, self.listed, config, self.cache))
        given = {name: value for name in TURNED if (value := getattr(config, name)) is not None}
        given |= {name: getattr(config, name) for name in ("tokens_off", "heads", "own_boxes")}
        n_tokens = len(self.form.strips.tokens.labels)
        if wrong := [i for i in config.tokens_off if i >= n_tokens]:
            raise ValueError(f"tokens_off {wrong}: the search has {n_tokens} tokens, counted from 0")
        self.form.turn(replace(own_settings(self.hide), **given))

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
        with self._silent():
            self._list_samples()
            self.form.show_case(case)

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

    @property
    def shown(self) -> Shown:
        """What the main pane shows."""
        return Shown(self.hide.model.name, self.hide.model.n_layers, self.case, self._knobs, self.view)

    def _draw(self) -> None:
        started, form = time.perf_counter(), self.form
        self._knobs = self.knobs
        self.view: View = view_of(self.case, self._knobs)
        with self._silent():
            form.strips.show_words(self.shown, form.pane.map.asked)
            draw_panes(form, self.shown, self.pinned)  # goes to the browser before the small maps are made
            form.strips.show_maps(self.shown, form.heads.value)
        self._texts()
        self.draws, self.seconds = self.draws + 1, time.perf_counter() - started
        form.timings.value = said.timings_html(self.case, self.seconds)

    def _texts(self) -> None:
        """Write answers, numbers, what differs, and last the command."""
        for shown in filter(None, (self.shown, self.pinned)):
            pane = self.form.pinned if shown is self.pinned else self.form.pane
            pane.show_answers(shown, self._stored(shown))
        write_numbers(self.form, self.shown, self.pinned)
        self.form.command.value = self.command

    def _stored(self, shown: Shown) -> dict[str, str | None]:
        """Letters of the evaluation, which the first model answered; HiDe's at its own settings alone."""
        sample, first = shown.case.sample, self.hides[0]
        if sample is None or shown.case.session.model is not first.model:
            return {}
        stored = self.listed.letters(sample.id)
        if shown.knobs != own_settings(first):
            stored.pop("hide", None)
        return stored

    # --- what the buttons do ----------------------------------------------------------------------------------------

    def ask(self) -> None:
        """Have the model answer without the second picture, and with it as it is shown.

        Raises:
            ValueError: for an uploaded picture that was not searched yet.
        """
        if self.upload is not None:
            raise ValueError("the uploaded picture was not searched yet: press “Search this question” first")
        ask_model(self.hide, self.case, self.knobs, self.view)
        self._draw()

    def search(self) -> None:
        """Open the question as typed, about the uploaded picture or else the one that is shown.

        Raises:
            ValueError: for an empty question and for a single option.
        """
        self.show(open_typed(self.hide, self.case, self.form.typed, self.upload, self.cache))

    def choose_model(self, number: int) -> None:
        """Show the same question with another model, at that model's settings."""
        self.hide, case = self.hides[number], self.case
        asked = case.question, case.options, ""
        self._set(open_typed(self.hide, case, asked, case.path, self.cache))
        with self._silent():
            self.form.turn(own_settings(self.hide))
        self._draw()

    def pin(self) -> None:
        """Keep what is shown beside what is changed next, or stop where something is kept."""
        self.pinned = None if self.pinned else self.shown
        if self.pinned:
            self.form.pinned.show_case(self.pinned.case)
        self.form.show_pinned(bool(self.pinned))
        self._draw()

    def reset(self) -> None:
        """Turn everything back to the model's own settings: all tokens, all heads, no boxes of one's own."""
        with self._silent():
            self.form.turn(own_settings(self.hide))
            self.form.step.value, self.form.strips.words.chosen, self.form.pane.map.asked = "purified", -1, []
        self._draw()

    def save(self, name: str | None = None) -> list[Path]:
        """Write the view as PDF and PNG with its sidecar, below the folder of figures.

        Args:
            name: of the files, without suffix. None makes one of the case and the settings.

        Returns:
            Paths of the files.
        """
        return save_view(self.shown, self.config, name)

    def figure(self) -> Figure:
        """The view as a matplotlib figure."""
        return said.figure(self.shown)

    def arrays(self) -> bytes:
        """The arrays behind the view as an .npz file; see `hide_utils.explorer.export.arrays`."""
        return arrays_file(self.shown)

    @property
    def command(self) -> str:
        """The command line that shows this view in a run of the notebook."""
        other = self.config.other_model if self.hide is not self.hides[0] else None
        config = self.config.model_copy(update={"model": other}) if other else self.config
        return command_line(config, self.case, self.knobs)

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
