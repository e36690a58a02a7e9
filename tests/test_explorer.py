"""The explorer driven through its widgets, without a browser; what it shows is compared with the method itself."""

import asyncio
import base64
import html
import io
import json
import re
import shlex
from dataclasses import replace
from datetime import datetime

import ipywidgets
import nbformat
import numpy as np
import pandas as pd
import pytest
from checkpoints import tiny_model
from matplotlib import colormaps
from model_helpers import picture
from PIL import Image
from scipy.special import softmax

from hide_utils import HiDe, explorer_panes, lpd, paths, tad
from hide_utils.config import RunConfig
from hide_utils.entities import given_entities
from hide_utils.explorer import Explorer
from hide_utils.explorer_case import Knobs, look, open_own, open_sample
from hide_utils.explorer_choice import Choice
from hide_utils.layouts import LAYOUTS
from hide_utils.notebooks import literal, strip
from hide_utils.rowcache import RowCache
from hide_utils.scenes import scene_samples

CONFIG = RunConfig(notebook="08_explorer", n=4, resolution=256, layer=1, sigma=0.5, alpha=0.6)


@pytest.fixture(scope="module")
def hide():
    return HiDe(tiny_model("qwen3_vl"), layer=1, sigma=0.5, alpha=0.6)


@pytest.fixture(scope="module")
def samples():
    return scene_samples("test", 4, resolution=256)


@pytest.fixture(scope="module")
def answers(samples):
    """As an evaluation would return it: the second sample is the first that only HiDe got right."""
    rows = []
    for sample, direct, own in zip(samples, (True, False, False, True), (True, True, False, False), strict=True):
        for method, right in (("direct", direct), ("hide", own)):
            wrong = "B" if sample.label == "A" else "A"
            row = {
                "sample_id": sample.id,
                "method": method,
                "correct": right,
                "letter": sample.label if right else wrong,
            }
            rows.append(row | {"entities": ", ".join(sample.entities) if method == "hide" else None})
    return pd.DataFrame(rows)


@pytest.fixture
def explorer(hide, samples, answers):
    return Explorer(hide, samples, answers, config=CONFIG)


def runs(hide):
    return dict(hide.model.counts)


def shown(image):
    return Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", image.value)[1])))


# --- what is shown is what the method does --------------------------------------------------------------------------


def test_view_at_the_method_s_settings_is_what_the_method_finds_and_answers(hide, samples, explorer):
    sample, names = samples[0], samples[0].entities
    explorer.open(sample.id)
    explorer.answer()
    session = hide.open(sample.image)
    result = hide.run(session, sample.question, sample.options, names)
    assert explorer.knobs == Knobs(1, 0.5, 0.6)
    np.testing.assert_array_equal(explorer.view.maps, result.maps)
    assert explorer.view.regions == result.boxes and result.boxes
    assert explorer.view.compact.tobytes() == result.compact_image.tobytes()
    given = explorer.case.answers
    assert (given[explorer.knobs].text, given[explorer.knobs].letter) == (result.answer, result.letter)
    assert given[None].text == session.answer(sample.question, sample.options).text
    assert explorer.view.quality == tad.box_quality(result.boxes, sample.boxes_xyxy, sample.image.size)


@pytest.mark.parametrize("change", [{"layer": 3}, {"sigma": 2.0}, {"alpha": 0.2}, {"prior": False}, {"off": (0,)}])
def test_every_setting_is_the_method_s_own_computation(hide, samples, change):
    case = open_sample(hide, samples[1])
    knobs = replace(Knobs(1, 0.5, 0.6), **change)
    view, row = look(case, knobs), case.found.layers.index(knobs.layer)
    noise = case.found.noise[row] if knobs.prior else np.zeros((0, *case.found.noise.shape[2:]), np.float32)
    maps = tad.purify(np.concatenate([noise, case.found.semantic[row]]), len(noise), knobs.sigma)
    np.testing.assert_array_equal(view.maps, maps)
    counted = [i for i in range(len(maps)) if i not in knobs.off]
    assert len(counted) == len(maps) - len(knobs.off)
    assert view.regions == lpd.regions_of(maps[counted], knobs.alpha, case.image.size)
    np.testing.assert_array_equal(view.union, maps[counted].max(0))
    assert (look(case, Knobs(1, 0.5, 0.6)).maps.shape, knobs.layer) == (maps.shape, knobs.layer)


def test_layouts_show_the_same_regions_and_no_region_shows_none(hide, samples):
    case = open_sample(hide, samples[1])
    views = {name: look(case, Knobs(1, 0.5, 0.6, layout=name)) for name in LAYOUTS}
    assert len({tuple(view.regions) for view in views.values()}) == 1
    assert views["masked_in_place"].compact.size == case.image.size
    everything = tuple(range(len(case.found.tokens)))
    nothing = look(case, Knobs(1, 0.5, 0.6, off=everything))
    assert (nothing.regions, nothing.compact, nothing.quality["area"]) == ([], None, 0.0)
    assert not nothing.union.any()
    with pytest.raises(ValueError, match="did you mean 'spatial_aggregate'"):
        Knobs(1, 0.5, 0.6, layout="spatial_agregate")
    with pytest.raises(ValueError, match="layer 9 was not captured"):
        look(case, Knobs(9, 0.5, 0.6))


def test_letter_probabilities_are_the_softmax_of_the_letters_logits(hide, samples, explorer):
    explorer.open(samples[0].id)
    explorer.answer()
    reply = hide.open(samples[0].image).answer(samples[0].question, samples[0].options)
    logits = hide.model.letter_logits(reply, len(samples[0].options))
    found = explorer.case.answers[None].probabilities
    assert sum(found.values()) == pytest.approx(1)
    np.testing.assert_allclose(list(found.values()), softmax([logits[letter] for letter in found]), atol=1e-5)


# --- sliders --------------------------------------------------------------------------------------------------------


def test_settings_redraw_without_the_model_and_answering_runs_it(hide, explorer):
    explorer.answer()
    before, seen = runs(hide), [explorer.form.picture.value]
    for name, value in (("layer", 3), ("sigma", 2.0), ("alpha", 0.1), ("prior", False), ("layout", "bounding_crop")):
        getattr(explorer.form, name).value = value
        seen.append((explorer.form.picture.value, explorer.form.compact.value, explorer.form.command.value))
    explorer.form.chips[0].value = False
    assert runs(hide) == before
    assert len(set(seen)) == 6, "every change shows"
    assert explorer.knobs == Knobs(3, 2.0, 0.1, False, (0,), "bounding_crop")
    assert "not asked with these settings" in explorer.form.answers.value
    explorer.form.answer.click()
    assert runs(hide) != before
    assert "not asked" not in explorer.form.answers.value
    assert explorer.status.startswith("answering: done in")


def test_values_of_a_dragged_slider_are_drawn_as_one_and_the_last_is_drawn(explorer):
    async def drag():
        start = explorer.draws
        for step in range(20):
            explorer.form.alpha.value = 0.2 + step / 100
        assert explorer.draws == start, "nothing is drawn while values come in"
        await asyncio.sleep(0.2)
        assert explorer.draws == start + 1
        explorer.form.alpha.value = 0.9
        assert explorer.view.regions == look(explorer.case, replace(explorer.knobs, alpha=0.9)).regions
        assert explorer.draws == start + 2, "whoever asks for the view need not wait"
        await asyncio.sleep(0.2)
        assert explorer.draws == start + 2

    asyncio.run(drag())
    assert explorer.knobs.alpha == 0.9


def test_slider_s_rounding_is_no_other_setting(explorer):
    explorer.form.alpha.value = 0.35000000000000003
    assert explorer.knobs.alpha == 0.35
    assert "0.35 " in explorer.command


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


def test_choosing_a_sample_shows_its_question_truth_and_stored_answers(explorer, samples, answers):
    explorer.form.sample.value = samples[2].id
    assert explorer.status.startswith("searching: done in")
    assert explorer.form.question.value == samples[2].question
    assert explorer.form.options.value.split("; ") == samples[2].options
    assert explorer.case.entities.names == tuple(samples[2].entities), "those the evaluation stored"
    assert "truth" in explorer.form.answers.value and "✗ wrong" in explorer.form.answers.value
    explorer.form.alpha.value = 0.1
    stored = explorer.form.answers.value.count("(evaluation:")
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
    form.answer.click()
    assert "letter" not in form.answers.value and "<b>left" not in form.answers.value
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

    monkeypatch.setattr(explorer, "answer", watched)
    explorer._run("answering", explorer.answer)
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
    form.layer.value, form.sigma.value, form.alpha.value, form.prior.value = 2, 0.25, 0.4, False
    form.layout.value, form.chips[0].value = "masked_in_place", False
    python, flag, module, notebook, *words = shlex.split(explorer.command)
    assert [python, flag, module, notebook] == ["python", "-m", "hide_utils.run", "08_explorer"]
    given = {name: literal(value) for _, name, value in zip(*[iter(words)] * 3, strict=True)}
    again = Explorer(hide, samples, answers, config=RunConfig(notebook="08_explorer", **given))
    assert again.knobs == explorer.knobs
    assert (again.case.question, again.case.options) == (explorer.case.question, explorer.case.options)
    assert again.case.entities.names == explorer.case.entities.names
    assert again.form.picture.value == explorer.form.picture.value
    assert again.form.compact.value == explorer.form.compact.value


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


# --- panes ----------------------------------------------------------------------------------------------------------


def test_heat_map_is_that_of_the_figures():
    base, level = picture(60, 40), np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6)
    found = np.asarray(explorer_panes.heated(base, level), float)
    cells = np.kron(level, np.ones((10, 10)))[..., None]
    opacity = 0.2 + 0.6 * cells
    colour = 255 * colormaps["inferno"](cells[..., 0])[..., :3]
    np.testing.assert_allclose(found, (1 - opacity) * np.asarray(base) + opacity * colour, atol=3)


def test_boxes_are_outlined_where_they_are():
    drawn = Image.new("RGB", (100, 100))
    explorer_panes.outlined(drawn, [(40, 80, 120, 160)], 0.5, "#ff0000")
    red = np.asarray(drawn)[..., 0] == 255
    columns, rows = np.flatnonzero(red.any(0)), np.flatnonzero(red.any(1))
    assert columns[0] in (19, 20) and columns[-1] in (59, 60) and rows[0] in (39, 40) and rows[-1] in (79, 80)
    assert not np.asarray(drawn)[45:75, 25:55].any(), "the inside stays"
    dashed = Image.new("RGB", (100, 100))
    explorer_panes.outlined(dashed, [(40, 80, 120, 160)], 0.5, "#ff0000", dash=4)
    assert 0 < (np.asarray(dashed)[..., 0] == 255).sum() < 0.8 * red.sum()


def test_every_filter_stands_at_a_choice(explorer):
    """An option whose value is None is no choice at all to ipywidgets."""
    form = explorer.form
    assert all(box.index is not None for box in (form.kind, *form.outcomes.values(), form.sample, form.layout))


def test_panes_have_pixels_and_stay_small(explorer):
    assert max(shown(explorer.form.picture).size) == 256, "never enlarged"
    assert all(max(shown(thumb).size) == explorer_panes.THUMB for thumb in explorer.form.thumbs)
    wide = explorer_panes.fitted(Image.new("RGBA", (4000, 10)), 640)
    assert (wide.size, wide.mode, wide.getpixel((0, 0))) == ((640, 2), "RGB", (255, 255, 255))


def test_many_tokens_are_drawn_in_part_and_the_rest_counts(hide, samples, explorer):
    names = ", ".join(
        f"{word} with {colour} color" for word in ("star", "dog", "truck") for colour in ("red", "blue", "white")
    )
    case = open_own(hide, samples[0].image, "Where?", None, given_entities(names))
    explorer.show(case)
    extra = len(case.found.tokens) - explorer_panes.MOST_THUMBS
    assert extra > 0 and len(explorer.form.chips) == explorer_panes.MOST_THUMBS
    assert f"and {extra} more" in explorer.form.tokens.children[-1].value
    assert explorer.view.on.all()


def test_every_control_has_a_label_and_every_picture_a_meaning(explorer):
    form = explorer.form
    for control in form.enabled:
        assert control.description.strip(), control
    for image in (form.picture, form.compact, *form.thumbs):
        assert f'alt="{html.escape(image.meaning)}"' in image.value and image.meaning.strip()
    placed = {id(form.box)}
    todo = [form.box]
    while todo:
        children = getattr(todo.pop(), "children", ())
        placed |= {id(child) for child in children}
        todo += children
    missing = [control for control in form.enabled if id(control) not in placed]
    assert not missing and all(isinstance(control, ipywidgets.DOMWidget) for control in form.enabled)


def test_choice_knows_what_the_evaluation_stored(samples, answers):
    choice = Choice(samples, answers)
    assert choice.right(samples[1].id) == {"direct": False, "hide": True}
    assert choice.letters(samples[1].id)["hide"] == samples[1].label
    assert choice.entities(samples[0]).names == tuple(samples[0].entities)
    fallback = answers.assign(entities=samples[0].question)
    assert Choice(samples, fallback).entities(samples[0]) is None, "the question itself: the model had listed nothing"
    assert Choice(samples).passing(None, {}) == [(f"…{i}", s.id) for i, s in enumerate(samples)]
    assert Choice(samples[:1]).passing(None, {}) == [(samples[0].id, samples[0].id)]
