"""What each of the explorer's controls sets off, and the status line that says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import OutOfMemoryError

from hide_utils import paths
from hide_utils.explorer.case import Case
from hide_utils.explorer.form import TURNED, Form, status_html, written
from hide_utils.explorer.opening import keep_picture
from hide_utils.explorer.sample_list import SampleList
from hide_utils.images import read_image

USER_ERRORS = (ValueError, OSError, OutOfMemoryError)  # shown in the status line, after which the explorer goes on


class Events:
    """The part of the explorer that listens. What is done stands in `hide_utils.explorer.app`."""

    form: Form
    case: Case
    listed: SampleList
    upload: Path | None
    status: str
    seconds: float
    open: Callable[[str], None]
    ask: Callable[[], None]
    search: Callable[[], None]
    pin: Callable[[], None]
    reset: Callable[[], None]
    save: Callable[[], list[Path]]
    arrays: Callable[[], bytes]
    choose_model: Callable[[int], None]
    _draw: Callable[[], None]
    _list_samples: Callable[[], None]
    _quiet: bool = False

    def _observe(self) -> None:
        form, strips = self.form, self.form.strips
        for control in (*(getattr(form, name) for name in TURNED), form.step, form.own, form.heads):
            control.observe(self._changed, "value")
        strips.tokens.observe(self._changed, "chosen")
        strips.heads.observe(self._changed, "chosen")
        strips.layers.observe(self._layer_pressed, "chosen")
        strips.words.observe(self._changed, ["chosen", "hovered"])
        form.pane.map.observe(self._changed, "asked")
        form.pane.map.observe(self._drawn_by_hand, "own")
        for control in (form.kind, *form.outcomes.values()):
            control.observe(self._filtered, "value")
        form.sample.observe(self._chosen, "value")
        form.model.observe(self._model_chosen, "value")
        form.upload.observe(self._uploaded, "value")
        form.search.on_click(lambda _: self._run("searching", self.search))
        form.ask.on_click(lambda _: self._run("answering", self.ask))
        form.pin.on_click(lambda _: self._run("pinning", self.pin))
        form.reset.on_click(lambda _: self._run("resetting", self.reset))
        form.save.on_click(lambda _: self._run("saving", lambda: paths.portable(self.save()[0])))
        form.command.on_msg(lambda *_: form.command.send({"name": "explorer.npz"}, [self.arrays()]))

    def _changed(self, _: object = None) -> None:
        """Redraw. The browser sends a slider's next value when this one is drawn, so none has to be left out."""
        if self._quiet or self.upload is not None:
            return
        new_heads = self.form.heads.value and self.form.layer.value not in self.case.apart
        try:
            if new_heads:
                self._say("reading the heads of the layer …", busy=True)
            self._draw()
            if new_heads:
                self._say(f"heads of layer {self.form.layer.value + 1} read in {self.seconds:.1f} s")
        except USER_ERRORS as error:
            self._say(str(error))

    def _layer_pressed(self, change: dict) -> None:
        if not self._quiet and change["new"]:
            self.form.layer.value = self.case.attention.layers[change["new"][0]]

    def _drawn_by_hand(self, change: dict) -> None:
        if not self._quiet:
            self.form.own.value = written(change["new"])

    def _model_chosen(self, change: dict) -> None:
        if not self._quiet:
            self._run("asking the other model", lambda: self.choose_model(change["new"]))

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
            with self._silent():
                self.form.pane.show_picture(read_image(self.upload))
            return "picture loaded: type a question and press “Search this question”"

        if change["new"]:
            self._run("reading the picture", keep)
            self.form.upload.value = ()  # so that the same file can be loaded again

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
