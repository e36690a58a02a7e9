"""The explorer driven through its widgets, without a browser: samples, questions, uploads, and taking a view away."""

import base64
import io
import json
import shlex
from dataclasses import replace
from datetime import datetime

import nbformat
import numpy as np
import pytest
from explorer_parts import CONFIG, leave_out, marks, runs
from model_helpers import picture
from PIL import Image

from hide_utils import paths
from hide_utils.analyses.explorer import ExplorerConfig
from hide_utils.evaluation.captured import RowCache
from hide_utils.explorer import Explorer
from hide_utils.notebooks import literal, strip

# --- samples, pictures and questions --------------------------------------------------------------------------------


def test_first_sample_is_the_first_that_only_hide_got_right(explorer, samples, hide):
    assert explorer.case.name == samples[1].id
    assert Explorer(hide, samples, config=CONFIG).case.name == samples[0].id
    with pytest.raises(ValueError, match="no samples"):
        Explorer(hide, [], config=CONFIG)
    with pytest.raises(ValueError, match=f"did you mean '{samples[0].id}'"):
        Explorer(hide, samples, config=CONFIG.model_copy(update={"sample": samples[0].id + "x"}))


def test_filters_offer_what_passes_and_open_the_first_of_it(explorer, samples):
    form = explorer.form
    form.outcomes["direct"].value = True
    assert [i for _, i in form.sample.options] == [samples[0].id, samples[3].id]
    assert explorer.case.name == samples[0].id, "the one that was shown does not pass"
    form.outcomes["hide"].value = False
    assert explorer.case.name == samples[3].id
    assert form.sample.options[0][0] == "…3 · direct ✓ · HiDe ✗"
    form.kind.value = samples[2].kind
    assert samples[2].kind != samples[3].kind
    assert explorer.status == "no sample passes the filters"
    assert explorer.case.name == samples[3].id, "what is shown stays"
    form.outcomes["direct"].value = form.outcomes["hide"].value = "any"
    assert [i for _, i in form.sample.options] == [s.id for s in samples if s.kind == form.kind.value]


def test_a_kind_that_is_called_any_can_be_chosen(hide, samples):
    named = [replace(sample, kind=kind) for sample, kind in zip(samples, ("any", "all", "any", "x"), strict=True)]
    explorer = Explorer(hide, named, config=CONFIG)
    assert len(explorer.form.sample.options) == 4
    for kind, found in (("any", [0, 2]), ("all", [1])):
        explorer.form.kind.value = kind
        assert [i for _, i in explorer.form.sample.options] == [samples[at].id for at in found]
    explorer.form.kind.index = 0
    assert len(explorer.form.sample.options) == 4


def test_options_that_are_formulas_are_drawn_as_they_are_written(hide, samples):
    options = [r"$\tfrac{1}{2}$", r"$\begin{cases}x\end{cases}$", "$3 to $5"]
    words = [{"options": [option, "none"], "label": "A", "question": f"How much, {option}?"} for option in options]
    asked = [replace(samples[0], id=str(number), **one) for number, one in enumerate(words)]
    explorer = Explorer(hide, asked, config=CONFIG)
    for sample, option in zip(asked, options, strict=True):
        explorer.open(sample.id)
        assert "image/png" in explorer._repr_mimebundle_()
        said = explorer.figure()._suptitle.get_text().replace("\n", " ").replace(r"\$", "$")
        assert f"How much, {option}?" in said and f"truth: A ({option})" in said


def test_choosing_a_sample_shows_its_question_truth_and_stored_answers(explorer, samples, answers):
    explorer.form.sample.value = samples[2].id
    assert explorer.status.startswith("searching: done in")
    assert explorer.form.question.value == samples[2].question
    assert explorer.form.options.value.split("; ") == samples[2].options
    assert explorer.case.entities.names == tuple(samples[2].entities), "those the evaluation stored"
    assert "truth" in explorer.form.pane.answers.value and "✗ wrong" in explorer.form.pane.answers.value
    explorer.form.alpha.value = 0.1
    stored = explorer.form.pane.answers.value.count("(evaluation:")
    assert stored == 1, "HiDe's stored answer belongs to its own settings"


def test_rows_once_cached_are_shown_without_the_model(hide, samples, answers, tmp_path):
    cache = RowCache(tmp_path)
    first = Explorer(hide, samples, answers, config=CONFIG, cache=cache)
    first.open(samples[2].id)
    before = runs(hide)
    again = Explorer(hide, samples, answers, config=CONFIG, cache=cache)
    again.open(samples[2].id)
    assert runs(hide) == before
    np.testing.assert_array_equal(again.view.maps, first.view.maps)
    assert again.case.entities.source == "model"


def test_question_of_one_s_own_about_the_shown_picture(explorer, samples):
    form = explorer.form
    form.question.value, form.options.value, form.entities.value = "What is <b>left</b>?", "", "star, moon"
    form.search.click()
    assert (explorer.case.sample, explorer.case.options, explorer.case.label) == (None, None, None)
    assert explorer.case.entities.names == ("star", "moon")
    assert explorer.case.image.size == samples[1].image.size
    form.ask.click()
    assert "letter" not in form.pane.answers.value and "<b>left" not in form.pane.answers.value
    form.question.value = " "
    form.search.click()
    assert explorer.status == "searching failed: the question is empty: ask something about the picture"
    form.question.value, form.options.value = "Which?", "red"
    form.search.click()
    assert "searching failed: 1 option(s)" in explorer.status
    assert explorer.case.question == "What is <b>left</b>?", "the last case stays"


def test_unchanged_question_with_other_entities_stays_the_sample(explorer, samples):
    explorer.form.entities.value = "the sky; clouds, star"
    explorer.form.search.click()
    assert explorer.case.sample is not None and explorer.case.boxes_xyxy
    assert explorer.case.entities.source == "given"
    assert "-p entities" in explorer.command


@pytest.mark.parametrize(
    "options",
    [["red; dark", "blue"], ['"STOP"', "GO"], ['5" pipe', '3"; 4" pipe'], ["two\nlines", "one"], ["a;", ";b", "c"]],
)
def test_a_search_of_what_is_shown_keeps_its_options_truth_and_label(hide, samples, options):
    given = [replace(samples[0], options=options, label="B"), *samples[1:]]
    explorer = Explorer(hide, given, config=CONFIG.model_copy(update={"sample": given[0].id}))
    explorer.form.search.click()
    assert explorer.case.sample is given[0] and (explorer.case.options, explorer.case.label) == (options, "B")
    explorer.form.question.value = "Another question?"
    explorer.form.search.click()
    assert (explorer.case.sample, explorer.case.options) == (None, options)


def test_uploaded_picture_is_kept_and_searched(explorer, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "CACHE", tmp_path)
    stream = io.BytesIO()
    picture(300, 200).save(stream, format="PNG")
    upload = {"name": "my cat.png", "type": "image/png", "size": 1, "content": memoryview(stream.getvalue())}
    upload["last_modified"] = datetime(2026, 1, 1)
    explorer.form.upload.value = (upload,)
    assert "picture loaded" in explorer.status
    explorer.form.question.value, explorer.form.options.value = "What is there?", "cat; dog"
    explorer.form.search.click()
    assert explorer.case.image.size == (300, 200)
    assert (explorer.case.options, list(explorer.case.boxes_xyxy)) == (["cat", "dog"], [])
    (kept,) = (tmp_path / "pictures").iterdir()
    assert kept.read_bytes() == stream.getvalue() and str(kept) in shlex.split(explorer.command)
    assert "–" in explorer.form.numbers.value, "no truth, no measure"
    explorer.form.upload.value = (upload | {"name": "no.png", "content": memoryview(b"no picture")},)
    assert "reading the picture failed: the picture is in no format" in explorer.status


def test_everything_is_off_while_the_model_runs_and_on_again_afterwards(explorer, monkeypatch):
    seen = []

    def watched():
        seen.append((explorer.form.status.value, [control.disabled for control in explorer.form.enabled]))
        raise ValueError("not today <i>")

    monkeypatch.setattr(explorer, "ask", watched)
    explorer._run("answering", explorer.ask)
    ((status, disabled),) = seen
    assert 'aria-busy="true"' in status and all(disabled)
    assert not any(control.disabled for control in explorer.form.enabled)
    assert explorer.status == "answering failed: not today <i>"
    assert 'aria-busy="false"' in explorer.form.status.value and "<i>" not in explorer.form.status.value


# --- taking it away -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [False, True])
def test_command_reproduces_the_view(hide, samples, answers, explorer, own):
    explorer.open(samples[2].id)
    form = explorer.form
    if own:
        form.question.value, form.options.value = """Is it the cat's "left" $side?""", "a; b c"
        form.entities.value = "cat, dog's left ear"
        form.search.click()
    form.layer.value, form.sigma.value, form.alpha.value, form.noise_prior.value = 2, 0.25, 0.4, False
    form.layout.value = "masked_in_place"
    leave_out(explorer, 0)
    if own:
        form.heads.value, form.strips.heads.chosen = True, [1]
        form.pane.map.own = [[10, 20, 90, 80], [100, 100, 140, 150]]
    program, what, notebook, *words = shlex.split(explorer.command)
    assert [program, what, notebook] == ["hide", "run", "08_explorer"]
    given = {name: literal(value) for _, name, value in zip(*[iter(words)] * 3, strict=True)}
    again = Explorer(hide, samples, answers, config=ExplorerConfig(**given))
    assert again.knobs == explorer.knobs
    assert (again.case.question, again.case.options) == (explorer.case.question, explorer.case.options)
    assert again.case.entities.names == explorer.case.entities.names
    assert marks(again.form) == marks(explorer.form)


def test_saved_view_has_figures_and_a_sidecar_with_the_settings(explorer, samples, tmp_path, monkeypatch):
    monkeypatch.setenv("HIDE_FIGURES", str(tmp_path))
    explorer.form.layout.value = "masked_in_place"
    explorer.form.save.click()
    assert explorer.status.startswith("saving: done in")
    pdf, png, sidecar = sorted(
        (tmp_path / "08_explorer").iterdir(), key=lambda p: (p.suffix != ".pdf", p.suffix == ".json")
    )
    assert (pdf.suffix, png.suffix, sidecar.suffix) == (".pdf", ".png", ".json")
    assert samples[1].id in png.name and png.name in explorer.status.replace(".pdf", ".png")
    entry = json.loads(sidecar.read_text())
    assert entry["view"]["case"] == samples[1].id and entry["view"]["layout"] == "masked_in_place"
    assert (entry["view"]["layer"], entry["view"]["alpha"]) == (1, 0.6)
    assert Image.open(png).width > 600
    explorer.save("mine")
    assert (tmp_path / "08_explorer" / "mine.pdf").is_file()


def test_tokens_that_do_not_exist_are_refused(hide, samples):
    with pytest.raises(ValueError, match=r"tokens_off \[99\]: the search has"):
        Explorer(hide, samples, config=CONFIG.model_copy(update={"tokens_off": (0, 99)}))


def test_where_widgets_cannot_run_the_picture_stays(explorer):
    data = explorer._repr_mimebundle_()
    assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).width > 400
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "4 samples, showing scenes-test-256" in data["text/plain"]
    cell = nbformat.v4.new_code_cell("explorer", outputs=[nbformat.v4.new_output("display_data", data=data)])
    (kept,) = strip(nbformat.v4.new_notebook(cells=[cell])).cells
    assert set(kept.outputs[0].data) == {"text/plain", "image/png"}
