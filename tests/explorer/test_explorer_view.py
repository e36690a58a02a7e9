"""The explorer shows what the method itself computes; its sliders need no model."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from explorer_parts import leave_out, marks, runs
from scipy.special import softmax

from hide_utils.edits.layouts import LAYOUTS
from hide_utils.evaluation import localisation
from hide_utils.explorer import differing, redraw_seconds
from hide_utils.explorer.case import Knobs, view_of
from hide_utils.explorer.opening import open_listed, open_sample
from hide_utils.method import lpd, tad

# --- what is shown is what the method does --------------------------------------------------------------------------


def test_view_at_the_method_s_settings_is_what_the_method_finds_and_answers(hide, samples, explorer):
    sample, names = samples[0], samples[0].entities
    explorer.open(sample.id)
    explorer.ask()
    session = hide.open(sample.image)
    result = hide.run(session, sample.question, sample.options, names)
    assert explorer.knobs == Knobs(1, 0.5, 0.6)
    np.testing.assert_array_equal(explorer.view.maps, result.maps)
    assert explorer.view.regions == result.boxes and result.boxes
    assert explorer.view.compact.tobytes() == result.compact_image.tobytes()
    given = explorer.case.answers
    assert (given[explorer.knobs].text, given[explorer.knobs].letter) == (result.answer, result.letter)
    assert given[None].text == session.answer(sample.question, sample.options).text
    assert explorer.view.quality == localisation.box_quality(result.boxes, sample.boxes_xyxy, sample.image.size)


@pytest.mark.parametrize(
    "change", [{"layer": 3}, {"sigma": 2.0}, {"alpha": 0.2}, {"noise_prior": False}, {"tokens_off": (0,)}]
)
def test_every_setting_is_the_method_s_own_computation(hide, samples, change):
    case = open_sample(hide, samples[1])
    knobs = replace(Knobs(1, 0.5, 0.6), **change)
    view, row = view_of(case, knobs), case.attention.layers.index(knobs.layer)
    noise = (
        case.attention.noise[row] if knobs.noise_prior else np.zeros((0, *case.attention.noise.shape[2:]), np.float32)
    )
    maps = tad.purify(np.concatenate([noise, case.attention.semantic[row]]), len(noise), knobs.sigma)
    np.testing.assert_array_equal(view.maps, maps)
    counted = [i for i in range(len(maps)) if i not in knobs.tokens_off]
    assert len(counted) == len(maps) - len(knobs.tokens_off)
    assert view.regions == lpd.regions_of(maps[counted], knobs.alpha, case.image.size)
    np.testing.assert_array_equal(view.union, maps[counted].max(0))
    assert (view_of(case, Knobs(1, 0.5, 0.6)).maps.shape, knobs.layer) == (maps.shape, knobs.layer)


def test_layouts_show_the_same_regions_and_no_region_shows_none(hide, samples):
    case = open_sample(hide, samples[1])
    views = {name: view_of(case, Knobs(1, 0.5, 0.6, layout=name)) for name in LAYOUTS}
    assert len({tuple(view.regions) for view in views.values()}) == 1
    assert views["masked_in_place"].compact.size == case.image.size
    everything = tuple(range(len(case.attention.tokens)))
    nothing = view_of(case, Knobs(1, 0.5, 0.6, tokens_off=everything))
    assert (nothing.regions, nothing.compact, nothing.quality["area"]) == ([], None, 0.0)
    assert not nothing.union.any()
    with pytest.raises(ValueError, match="did you mean 'spatial_aggregate'"):
        Knobs(1, 0.5, 0.6, layout="spatial_agregate")
    with pytest.raises(ValueError, match="layer 9 was not captured"):
        view_of(case, Knobs(9, 0.5, 0.6))


def test_letter_probabilities_are_the_softmax_of_the_letters_logits(hide, samples, explorer):
    explorer.open(samples[0].id)
    explorer.ask()
    reply = hide.open(samples[0].image).answer(samples[0].question, samples[0].options)
    logits = hide.model.letter_logits(reply, len(samples[0].options))
    found = explorer.case.answers[None].probabilities
    assert sum(found.values()) == pytest.approx(1)
    np.testing.assert_allclose(list(found.values()), softmax([logits[letter] for letter in found]), atol=1e-5)


# --- sliders --------------------------------------------------------------------------------------------------------


def test_settings_redraw_without_the_model_and_answering_runs_it(hide, explorer):
    explorer.ask()
    before, seen = runs(hide), []
    for name, value in (
        ("layer", 3),
        ("sigma", 2.0),
        ("alpha", 0.1),
        ("noise_prior", False),
        ("layout", "bounding_crop"),
    ):
        getattr(explorer.form, name).value = value
        seen.append((*map(repr, marks(explorer.form)), explorer.form.command.value))
    leave_out(explorer, 0)
    assert runs(hide) == before
    assert len(set(seen)) == 5, "every change shows"
    assert explorer.knobs == Knobs(3, 2.0, 0.1, False, (0,), "bounding_crop")
    assert "not asked with these settings" in explorer.form.pane.answers.value
    explorer.form.ask.click()
    assert runs(hide) != before
    assert "not asked" not in explorer.form.pane.answers.value
    assert explorer.status.startswith("answering: done in")


def test_slider_s_rounding_is_no_other_setting(explorer):
    explorer.form.alpha.value = 0.35000000000000003
    assert explorer.knobs.alpha == 0.35
    assert "0.35 " in explorer.command


def test_regions_that_are_not_the_evaluation_s_are_named(hide, samples, explorer):
    cases = [open_listed(hide, explorer.listed, sample.id) for sample in samples[:2]]
    own = Knobs(1, 0.5, 0.6)
    found = [np.ravel(view_of(case, own).regions).tolist() for case in cases]
    rows = pd.DataFrame({"sample_id": [case.name for case in cases], "method": "hide", "regions": found})
    assert differing(cases, own, rows) == []
    rows.at[1, "regions"] = [0.0, 0.0, 1.0, 1.0]
    assert differing(cases, own, rows) == [cases[1].name]


def test_timed_sliders_end_where_they_were(explorer):
    before, draws = explorer.knobs, explorer.draws
    table = redraw_seconds(explorer, {"layer": [0, 1], "alpha": [0.2, 0.4, 0.8]})
    assert table[["setting", "moves"]].to_numpy().tolist() == [["layer", 2], ["alpha", 3]]
    assert (table["milliseconds"] > 0).all() and explorer.knobs == before and explorer.draws > draws + 3
