"""Variants of TAD: each is what its name says, thresholds follow the rule, and answers come from the variant's maps."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from checkpoints import FAMILIES, LAYERS, eager_model, tiny_model
from made_rows import BOX, made_case, sample
from model_helpers import picture, stock_inputs

from hide_utils.analyses import tokens
from hide_utils.evaluation import token_rows
from hide_utils.evaluation.captured import RowCache
from hide_utils.evaluation.loop import evaluate
from hide_utils.method import tad
from hide_utils.method.entities import SEARCH_INSTRUCTION
from hide_utils.method.hide import HiDe
from hide_utils.method.session import Session
from hide_utils.prompts import CONTENT_FREE


@pytest.mark.parametrize("family", FAMILIES)
def test_last_positions_rows_equal_eager_attention(family):
    model, image, text = tiny_model(family), picture(200, 130), "What is it?\nA. dog\nB. truck"
    session = Session(model, image)
    rows = session.rows_of_last(text, [2, 0])
    prompt = model.prompt(image, text)
    with torch.inference_mode():
        attentions = eager_model(family)(**stock_inputs(model, prompt), output_attentions=True).attentions
    (span,) = prompt.images
    wanted = np.stack([attentions[layer][0].mean(0)[-1][span.positions].numpy() for layer in (0, 2)])
    np.testing.assert_allclose(rows, wanted, atol=1e-5, rtol=0)
    np.testing.assert_allclose(Session(model, image, reuse_prefix=False).rows_of_last(text, [0, 2]), rows, atol=1e-5)
    assert session.counts["last"]["images"] == 0, "the prefill is shared"


def test_each_component_is_what_its_name_says():
    case, sigma = made_case(), 1.0
    maps = {name: variant(case) for name, variant in tokens.components(sigma).items()}
    every = np.concatenate([case.noise, case.semantic])
    np.testing.assert_allclose(maps[tokens.RAW][0], tad.minmax(every.mean(0)), atol=1e-6)
    np.testing.assert_allclose(maps[tokens.SMOOTHED][0], tad.minmax(tad.smooth(every.mean(0), sigma)), atol=1e-6)
    np.testing.assert_allclose(maps[tokens.ENTITY][0], tad.minmax(tad.smooth(case.semantic, sigma).mean(0)), atol=1e-5)
    np.testing.assert_array_equal(maps[tokens.DECOUPLED], tad.purify(case.semantic, 0, sigma))
    np.testing.assert_array_equal(maps[tokens.PURIFIED], tad.purify(every, 2, sigma))
    np.testing.assert_array_equal(maps[tokens.FIRST][0], tad.minmax(tad.smooth(case.answer[1], sigma)))
    still = tokens.components(0.0)
    np.testing.assert_array_equal(still[tokens.RAW](case), still[tokens.SMOOTHED](case))
    assert set(maps) >= {name for pair in tokens.STEPS.values() for name in pair}


def test_weight_runs_from_no_prior_to_hides():
    case, components = made_case(), tokens.components(0.5)
    none, whole, half = tokens.weights(0.5, [0, 1, 0.5]).values()
    np.testing.assert_allclose(none(case), components[tokens.DECOUPLED](case), atol=1e-6)
    np.testing.assert_array_equal(whole(case), components[tokens.PURIFIED](case))
    assert (whole(case) == 0).sum() > (half(case) == 0).sum() > (none(case) == 0).sum()


def test_first_answer_token_at_each_layer():
    case = made_case()
    layers = tokens.answer_layers(0.0, 4)
    assert list(layers)[1] == "first answer token, layer 2 of 4", "names count from 1"
    np.testing.assert_array_equal(
        np.concatenate([variant(case) for variant in layers.values()]), tad.minmax(case.answer)
    )
    np.testing.assert_array_equal(list(layers.values())[1](case), tokens.components(0.0)[tokens.FIRST](case))


def test_other_priors():
    case, sigma = made_case(), 1.0
    averaged, subtracted, ratio = tokens.other_priors(sigma, [case]).values()
    purified = tokens.components(sigma)[tokens.PURIFIED]
    np.testing.assert_allclose(averaged(case), purified(case), atol=1e-5)
    others = [made_case(1), made_case(2, side=10)]
    learned = tokens.learned_prior(others, sigma, (20, 20))
    elsewhere, *_ = tokens.other_priors(sigma, others).items()
    assert elsewhere[0] == "averaged over 2 pictures"
    np.testing.assert_allclose(elsewhere[1](case), tad.subtract_prior(tokens.scaled(case.semantic, sigma), learned))
    blind = replace(case, content_free=np.full((20, 20), 0.001, np.float32))
    np.testing.assert_allclose(ratio(blind), tokens.components(sigma)[tokens.DECOUPLED](case), atol=1e-5)
    alike = replace(case, content_free=case.semantic[0])
    assert not subtracted(alike)[0].any() and subtracted(alike)[1].any(), "nothing is left of what equals the prior"


def peaked_case(name="s0"):
    """Its only entity token looks into the box (cells 2 to 5), strongest in the upper half of it."""
    row = np.zeros((20, 20), np.float32)
    row[2:6, 2:6], row[2:4, 2:6] = 0.5, 1.0
    return replace(made_case(name=name), semantic=row[None], tokens=("star",))


def test_rule_takes_the_best_and_the_smallest_of_equals():
    cases = [peaked_case("a"), peaked_case("b")]
    variants = {tokens.DECOUPLED: tokens.components(0.0)[tokens.DECOUPLED]}
    table = tokens.sweep_alphas(cases, variants, (0.3, 0.5, 0.7, 0.9))
    assert table["recall50"].tolist() == [1, 1, 1, 1]
    assert table["area"].tolist() == pytest.approx([0.04, 0.04, 0.02, 0.02])
    assert table["iou"].tolist() == pytest.approx([1, 1, 0.5, 0.5])
    chosen = tokens.choose_alphas(table)
    assert chosen["alpha"].to_dict() == {tokens.DECOUPLED: 0.3}
    assert chosen.loc[tokens.DECOUPLED, "iou"] == pytest.approx(1)
    shuffled = tokens.choose_alphas(table.sample(frac=1, random_state=0))
    assert shuffled.loc[tokens.DECOUPLED, "alpha"] == 0.3


def test_measures_that_can_be_worked_out_by_hand():
    variants = {tokens.DECOUPLED: tokens.components(0.0)[tokens.DECOUPLED]}
    (row,) = tokens.measure_variants([peaked_case()], variants, {tokens.DECOUPLED: 0.4}).to_dict("records")
    assert (row["recall50"], row["iou"], row["energy"], row["pointing"]) == (1, pytest.approx(1), pytest.approx(1), 1)
    assert (row["area"], row["true_area"], row["touched"]) == pytest.approx((0.04, 0.04, 0.04))
    away = replace(peaked_case(), semantic=np.roll(peaked_case().semantic, 10, 2))
    (row,) = tokens.measure_variants([away], variants, {tokens.DECOUPLED: 0.4}).to_dict("records")
    assert [row[name] for name in ("recall50", "iou", "energy", "pointing")] == [0, 0, 0, 0]
    assert row["area"] == pytest.approx(0.04)
    empty = replace(peaked_case(), semantic=np.zeros((1, 20, 20), np.float32))
    (row,) = tokens.measure_variants([empty], variants, {tokens.DECOUPLED: 0.4}).to_dict("records")
    assert [row[name] for name in tokens.VARIANT_MEASURES] == [0] * 5, "nothing found is no error"


def test_example_is_the_lower_median_among_those_with_most_boxes():
    two = (BOX, (80.0, 80.0, 90.0, 90.0))
    cases = [made_case(name=name, boxes=two) for name in "abcd"] + [made_case(name="e")]
    energy = {"a": 0.9, "b": 0.1, "c": 0.5, "d": 0.4, "e": 0.45}
    table = pd.DataFrame({"sample_id": energy.keys(), "energy": energy.values(), "variant": tokens.PURIFIED})
    assert tokens.typical_case(table, cases).sample.id == "d"


@pytest.fixture
def cases(tmp_path):
    samples = [sample("a"), sample("b", entities=("dog", "red star"))]
    return token_rows.load_token_rows(RowCache(tmp_path / "rows"), tiny_model("qwen3_vl"), samples, 1)


def test_cases_hold_the_rows_of_three_prompts(cases):
    model = tiny_model("qwen3_vl")
    for case in cases:
        session = Session(model, case.sample.image)
        asked = "What is red?\nA. star\nB. dog\nAnswer with the option's letter from the given choices directly."
        np.testing.assert_array_equal(case.answer, session.rows_of_last(asked, range(LAYERS)))
        np.testing.assert_array_equal(case.content_free, session.rows_of_last(CONTENT_FREE, [1])[0])
        assert len(case.noise) == len(token_rows.instruction_tokens(model)) and len(case.semantic) == len(case.tokens)


def test_purified_variant_finds_and_answers_what_hide_does(cases, tmp_path):
    model = tiny_model("qwen3_vl")
    hide = HiDe(model, 1, 1.0, 0.6)
    variants = tokens.components(1.0)
    table = tokens.measure_variants(cases, variants, dict.fromkeys(variants, 0.6)).set_index(["sample_id", "variant"])
    methods = tokens.answer_methods(cases, variants, dict.fromkeys(variants, 0.6), 1.0)
    samples = [case.sample for case in cases]
    answers = evaluate(model, samples, methods, tmp_path / "a.parquet", hide=hide, progress=False)
    answers = answers.set_index(["sample_id", "method"])
    for one in samples:
        whole = hide(one.image, one.question, one.options, one.entities, compare=False)
        stored = answers.loc[(one.id, tokens.method_name(tokens.PURIFIED, 0.6, 1.0))]
        assert np.reshape(stored["regions"], (-1, 4)).tolist() == [list(box) for box in whole.boxes]
        assert (stored["reply"], stored["letter"]) == (whole.answer, whole.letter)
        assert table.loc[(one.id, tokens.PURIFIED), "iou"] == pytest.approx(stored["iou"])
    assert len({tokens.method_name(tokens.FIRST, *s) for s in ((0.6, 1.0), (0.7, 1.0), (0.6, 0.5))}) == 3


@pytest.mark.parametrize("family", FAMILIES)
def test_instruction_is_read_token_by_token(family):
    words = token_rows.instruction_tokens(tiny_model(family))
    assert "".join(words) == SEARCH_INSTRUCTION.replace(" ", "")


def test_what_it_refuses(tmp_path):
    rows, model = RowCache(tmp_path), tiny_model("qwen3_vl")
    with pytest.raises(ValueError, match=r"1 samples have no ground-truth boxes \(bare"):
        token_rows.load_token_rows(rows, model, [sample("a"), sample("bare", boxes=())], 1)
    with pytest.raises(ValueError, match="no samples with ground-truth boxes"):
        token_rows.load_token_rows(rows, model, [], 1)


def test_published_sigma():
    assert tokens.published_sigma() == 3
