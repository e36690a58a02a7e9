from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.special import expit

from hide_utils.analyses import factorial
from hide_utils.analyses.factorial import Design, InteractionModel, factorial_scenes
from hide_utils.analyses.interference import interference_index
from hide_utils.plots import cell_panels
from hide_utils.scenes import questions as scenes

DESIGN = Design((16, 32), (192, 384), (0, 2), (4, 8))


def cells(n, design=DESIGN):
    """The table of `factorial_scenes` without drawing anything: regressors as documented."""
    rows = [
        (index, "direct_attributes" if index % 2 else "relative_position", *cell)
        for cell in product(design.object_sizes, design.resolutions, design.unnamed, design.named)
        for index in range(n)
    ]
    table = pd.DataFrame(rows, columns=["index", "kind", "object_size", "resolution", "n_unnamed", "n_named"])
    table["object"] = 2 * np.log2(table["object_size"])
    table["picture"] = 2 * np.log2(table["resolution"])
    table["unnamed"] = table["n_unnamed"] / max(design.unnamed)
    table["named"] = np.log2(table["n_named"])
    return table.assign(**{name: table[name] - table[name].mean() for name in factorial.FACTORS})


def drawn(table, seed=0, spread=0.5, **effects):
    """Outcomes by known log odds per regressor (a pair's effect is written a__b), with a random level an index."""
    rng = np.random.default_rng(seed)
    odds = 0.3 + rng.normal(0, spread, table["index"].nunique())[table["index"]]
    for term, effect in effects.items():
        odds = odds + effect * np.prod([table[name] for name in term.split("__")], axis=0)
    return table.assign(correct=rng.random(len(table)) < expit(odds))


# --- design -----------------------------------------------------------------------------------------------------------


def test_cells_cross_every_level_once():
    table = DESIGN.cells()
    assert len(table) == 16 and not table.duplicated().any()
    for values in table.to_dict("series").values():
        assert set(values.value_counts()) == {8}


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (((), (96,), (0,), (4,)), "object_size"),
        (((16,), (96, 96), (0,), (4,)), "resolution"),
        (((16,), (96,), (-1,), (4,)), "n_unnamed"),
        (((16,), (96,), (0,), (2, 4)), "n_named"),
    ],
)
def test_bad_levels_are_refused(levels, message):
    with pytest.raises(ValueError, match=message):
        Design(*levels).cells()


def test_scenes_of_an_index_ask_about_the_same_in_every_cell():
    samples, table = factorial_scenes(DESIGN, 3)
    assert len(samples) == len(table) == 48 and [s.id for s in samples] == table["sample_id"].tolist()
    assert table["sample_id"].is_unique
    asked = table.assign(
        question=[s.question for s in samples],
        answer=[s.answer for s in samples],
        entities=[s.entities for s in samples],
    )
    assert asked["entities"].map(str).groupby(table["index"]).nunique().eq(1).all()
    attributes = asked[asked["kind"] == "direct_attributes"].groupby("index")
    assert attributes[["question", "answer"]].nunique().eq(1).all(axis=None) and len(attributes) == 2
    for sample, row in zip(samples, table.itertuples(), strict=True):
        assert sample.image.size == (row.resolution,) * 2
        x0, y0, x1, y1 = sample.boxes_xyxy[0]
        assert row.object_size * 0.6 < max(x1 - x0, y1 - y0) <= row.object_size + 4


def test_regressors_count_doublings_around_the_design_s_mean():
    table = factorial_scenes(DESIGN, 1)[1]
    assert set(table["object"]) == set(table["picture"]) == {-1.0, 1.0}, "areas four times as large: two doublings"
    assert set(table["unnamed"]) == {-0.5, 0.5} and set(table["named"]) == {-0.5, 0.5}
    assert set(table["n_unnamed"]) == {0, 2}


def test_hardly_an_object_is_left_out_of_the_notebook_s_design():
    """Otherwise large objects would come with fewer others, and the factors would not be crossed."""
    samples, table = factorial_scenes(Design((16, 24), (768,), (0, 96), (16, 48)), 8)
    for sample, row in zip(samples, table.itertuples(), strict=True):
        assert len(sample.things) == row.n_named
        placed = len(scenes.unnamed_things(sample.render.args[0]))
        assert 0.97 * row.n_unnamed <= placed <= row.n_unnamed  # they are dropped where no place was found


# --- regression -------------------------------------------------------------------------------------------------------


def test_known_effects_are_recovered():
    truth = {"object": 0.5, "picture": -0.3, "unnamed": -0.6, "named": 0.0, "object__picture": 0.2}
    model = InteractionModel(drawn(cells(400), **truth, spread=0.0))
    assert model.estimable
    found = dict(zip(model.names, model.coefficients, strict=True))
    for name, value in truth.items():
        assert found[name.replace("__", ":")] == pytest.approx(value, abs=0.12)
    effects = model.effects().set_index("factor")
    assert effects.loc["object", "odds_ratio"] == pytest.approx(np.exp(-0.5), abs=0.08), "SD 1, towards smaller objects"
    assert (effects["low"] < effects["ame"]).all() and (effects["ame"] < effects["high"]).all()
    assert effects.loc["named", "p_holm"] > 0.05 > effects.loc["picture", "p_holm"]


def test_marginal_effects_agree_with_a_linear_regression():
    table = drawn(cells(60), object=0.3, picture=-0.4, unnamed=-0.2)
    effects = InteractionModel(table).effects().set_index("factor")
    linear = smf.ols("correct ~ object + picture + unnamed + named + C(kind)", table.astype({"correct": float}))
    linear = linear.fit(cov_type="cluster", cov_kwds={"groups": table["index"]}, use_t=True)
    for name, row in effects.iterrows():
        sign = factorial.HARM[name]
        assert row["ame"] == pytest.approx(sign * linear.params[name], abs=0.01)
        low, high = sorted(sign * linear.conf_int().loc[name])
        assert (row["low"], row["high"]) == (pytest.approx(low, abs=0.012), pytest.approx(high, abs=0.012))


def test_repeating_every_scene_does_not_make_the_intervals_shorter():
    """Copies of an index's answers carry no information; clustering sees that, plain standard errors would not."""
    table = drawn(cells(30), picture=-0.4)
    doubled = pd.concat([table, table])
    once, twice = (InteractionModel(t).marginal_effect("picture") for t in (table, doubled))
    assert twice.estimate == pytest.approx(once.estimate, abs=1e-6)
    assert twice.se == pytest.approx(once.se, rel=0.02)


def test_difference_of_effects_knows_their_correlation():
    model = InteractionModel(drawn(cells(40), picture=-0.4, object=0.2))
    a, b = model.marginal_effect("picture"), model.marginal_effect("object")
    difference = a - b
    assert difference.estimate == pytest.approx(a.estimate - b.estimate)
    joint = a.gradient @ a.covariance @ b.gradient
    assert difference.se**2 == pytest.approx(a.se**2 + b.se**2 - 2 * joint)
    assert (a - a).p == 1.0 and (a - a).se == 0


def test_standard_error_of_the_difference_is_that_of_repeated_experiments():
    found = []
    for seed in range(60):
        model = InteractionModel(drawn(cells(24), seed, picture=-0.4, object=0.2))
        difference = model.marginal_effect("picture") - model.marginal_effect("object")
        found.append((difference.estimate, difference.se))
    estimates, errors = np.array(found).T
    assert errors.mean() == pytest.approx(estimates.std(), rel=0.25)


def test_worst_case_moves_all_its_factors_together():
    table = drawn(cells(300), picture=-0.4, unnamed=-0.5, spread=0.0)
    model = InteractionModel(table)
    worst = table.query("picture > 0 and unnamed > 0 and named > 0")["correct"].mean()
    best = table.query("picture < 0 and unnamed < 0 and named < 0")["correct"].mean()
    assert model.worst_case(factorial.BACKGROUND).estimate == pytest.approx(worst - best, abs=0.03)
    assert model.worst_case(["object"]).estimate == pytest.approx(0, abs=0.03)
    assert model.worst_case([]).estimate == 0


def test_fixed_factors_drop_out():
    table = cells(40, Design((16, 32), (96, 192), (1,), (4,)))
    model = InteractionModel(drawn(table, object=0.3))
    assert model.factors == ["object", "picture"]
    assert model.interactions()["term"].tolist() == ["object × picture"]


@pytest.mark.parametrize("correct", [lambda t: t["object"] > 0, lambda t: t["object"] > -9])
def test_perfectly_predicted_outcomes_give_no_number(correct):
    table = cells(6)
    model = InteractionModel(table.assign(correct=correct(table)))
    assert not model.estimable
    assert model.effects()[["ame", "low", "p", "p_holm", "odds_ratio"]].isna().all(axis=None)
    assert np.isnan(model.marginal_effect("object").estimate) and np.isnan(model.worst_case(["object"]).p)


def test_two_clusters_are_too_few():
    assert not InteractionModel(drawn(cells(2))).estimable


@pytest.mark.parametrize(
    ("size", "background", "answer"),
    [
        (-0.01, -0.10, "background"),
        (-0.10, -0.01, "size"),
        (-0.10, -0.11, "neither"),
        (0.10, 0.005, "neither"),  # background costs more than size, but nothing is shown to cost anything
        (0.10, -0.10, "background"),
        (np.nan, np.nan, "unknown"),
    ],
)
def test_the_greater_loss_matters_if_it_is_one(size, background, answer):
    variance = np.diag([1e-4, 1e-4])
    effects = [
        factorial.Contrast(estimate, np.eye(2)[i], variance, 30) for i, estimate in enumerate((size, background))
    ]
    assert factorial.which_matters(*effects) == answer and answer in factorial.MATTERS


def test_a_contrast_in_words():
    contrast = factorial.Contrast(-0.1, np.ones(1), np.full((1, 1), 1e-4), 10**9)
    assert contrast.points == "-10.0 points (-12.0 to -8.0)"


def test_index_of_more_samples_is_known_better():
    table = drawn(cells(100), picture=-0.5)
    few = table[table["index"] < 10]
    found = []
    for part in (few, table):
        unit = part.groupby(["index", "object", "unnamed", "named"]).ngroup()
        found.append(interference_index(2.0 ** part["picture"], part["correct"], unit, part["index"], 2000))
    assert found[1].high - found[1].low < 0.6 * (found[0].high - found[0].low)
    model = InteractionModel(table)
    assert found[1].estimate == pytest.approx(-model.marginal_effect("picture").estimate, abs=0.01)
    assert found[1].low == pytest.approx(-model.marginal_effect("picture").high, abs=0.015)


def test_a_panel_for_each_background():
    table = drawn(cells(10), picture=-0.4)
    fig, axes = plt.subplots(2, 2)
    cell_panels(axes.flat, table.assign(fitted=InteractionModel(table).fitted()))
    assert [ax.get_title() for ax in axes.flat][:2] == ["0 unnamed, 4 named", "0 unnamed, 8 named"]
    ax = axes.flat[0]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["192", "384"]
    part = table.query("n_unnamed == 0 and n_named == 4 and object_size == 16 and resolution == 192")
    assert ax.lines[0].get_ydata()[0] == pytest.approx(part["correct"].mean())
    plt.close(fig)
