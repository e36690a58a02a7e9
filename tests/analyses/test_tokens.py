"""Notebook 03: settings follow the rule, answers come from each variant's maps, and every claim has its variants."""

import numpy as np
import pandas as pd
import pytest
from checkpoints import tiny_model
from made_rows import BOX, sample

from hide_utils import HiDe, findings
from hide_utils.analyses import tokens
from hide_utils.evaluation import evaluate, heads, tad_variants
from hide_utils.evaluation.tad_variants import Variant

CFG = tokens.TokensConfig(
    n_prior=1, alphas=(0.3, 0.6), weights=(0.5,), shares=(0.02, 0.05), n_heads=(1, 2), protocol="logits"
)


@pytest.fixture(scope="module")
def hide():
    return HiDe(tiny_model("qwen3_vl"), 1, 1.0, 0.6)


@pytest.fixture(scope="module")
def seen(hide):
    samples = [sample("a"), sample("b")]
    rows = [heads.measure_heads(hide, hide.open(one.image), one) for one in samples]
    return heads.head_table(pd.DataFrame(rows), hide.model.row_layers)


def test_variants_are_tried_with_each_of_their_numbers(hide, seen):
    variants = tokens.variants(hide, [sample("a"), sample("b")], seen, CFG)
    assert {name: list(of) for name, of in variants.items() if list(of) != [""]} == {
        tokens.WEIGHTED: ["weight 0.5"],
        tokens.MASKED: ["2.0% of the cells", "5.0% of the cells"],
        tokens.HEADS: ["1 heads", "2 heads"],
        tokens.BOXED: ["1 heads", "2 heads"],
    }
    assert variants[tokens.HEADS]["2 heads"].heads == heads.ranked_heads(seen)[:2]
    assert variants[tokens.BOXED]["1 heads"].heads == heads.ranked_heads(seen, "concentration")[:1]
    assert all(not one.heads for name, of in variants.items() if name not in tokens.HEADS_BY for one in of.values())
    one = sample("c")
    rows = tad_variants.read_rows(hide, hide.open(one.image), one)
    unsmoothed = tad_variants.tad_maps(rows, 0.0)
    np.testing.assert_array_equal(variants[tokens.UNSMOOTHED][""].maps(rows), unsmoothed)
    assert np.abs(variants[tokens.TAD][""].maps(rows) - unsmoothed).max() > 0.1


def test_rule_takes_most_recall_minus_area_and_the_smallest_of_equals():
    candidates = {"x": {"": Variant(max)}, "y": {"few": Variant(max), "many": Variant(max)}}
    recall = [[0.5, 0.9, 0.9], [0.1, 0.2, 0.3], [0.9, 0.9, 0.9]]
    area = [[0.1, 0.2, 0.2], [0.0, 0.0, 0.0], [0.5, 0.3, 0.1]]
    rows = pd.DataFrame({"recall50": [recall] * 2, "iou": [area] * 2, "area": [area] * 2})
    chosen = tokens.best_settings(rows, candidates, (0.2, 0.4, 0.6))
    assert chosen[["variant", "own", "alpha"]].to_numpy().tolist() == [["x", "", 0.4], ["y", "many", 0.6]]
    assert chosen["worth"].tolist() == pytest.approx([0.7, 0.8])


def test_answers_come_from_each_variants_maps(hide, seen, tmp_path, monkeypatch):
    monkeypatch.setenv("HIDE_RESULTS", str(tmp_path))
    samples = [sample("a"), sample("b", entities=("dog", "red star"))]
    variants = tokens.variants(hide, samples, seen, CFG)
    chosen = tokens.choose_settings(hide, samples, variants, CFG)
    assert chosen["variant"].tolist() == list(variants) and set(chosen["alpha"]) <= set(CFG.alphas)
    answers = evaluate(hide.model, samples, tokens.methods_of(chosen, variants), hide=hide, progress=False)
    by_key = answers.set_index(["sample_id", "method"])
    for one in samples:
        session = hide.open(one.image)
        for name, own, alpha in chosen[["variant", "own", "alpha"]].to_numpy():
            regions = tad_variants.find_regions(variants[name][own], alpha, hide, session, one)
            stored = by_key.loc[(one.id, name), "regions"]
            assert np.reshape([] if stored is None else stored, (-1, 4)).tolist() == [list(box) for box in regions]
    table = tokens.with_results(chosen, answers)
    assert table["method"].tolist() == ["direct", *variants] and (table["n"] == 2).all()
    assert len(table) <= 12 and table.shape[1] <= 8, "is printed in the notebook"
    assert table.set_index("method").loc["direct", ["alpha", "recall50"]].isna().all()
    maps = tokens.example_maps(hide, session, samples[1], chosen, variants, most=2)
    assert [len(of) for _, of in maps.values()] == [2] * 7 and all(len(t) == len(m) for t, m in maps.values())


def test_sample_without_regions_counts_as_one_where_nothing_was_found():
    chosen = pd.DataFrame({"variant": ["x"], "own": [""], "alpha": [0.5]})
    answers = pd.DataFrame({"method": "x", "sample_id": list("ab"), "correct": [True, False], "recall50": [1.0, None]})
    table = tokens.with_results(chosen, answers.assign(iou=answers["recall50"], area=answers["recall50"]))
    assert table[["n", "recall50", "right"]].to_numpy().tolist() == [[2, 0.5, 0.5]]


def test_every_claim_is_about_variants_that_are_answered(hide, seen):
    variants = tokens.variants(hide, [sample("a")], seen, CFG)
    groups = ("components", "priors", "few heads")
    claims = [words for group in groups for words in tokens.CLAIMS[group].values()]
    assert {words["method"] for words in claims} | {words["against"] for words in claims} == set(variants)
    rows = [
        {"sample_id": str(i), "image_id": str(i), "method": name, "correct": i % 3 > 0, "iou": i / 10, "kind": "k"}
        for name in variants
        for i in range(8)
    ]
    answers = pd.DataFrame(rows).astype({"correct": "boolean"})
    answers.loc[0, "iou"] = None
    cards = [card for group in groups for card in findings.cards_of(answers, tokens.CLAIMS[group])]
    beside = [card for group in groups for card in tokens.region_cards(answers, group)]
    assert {tokens.SHORT[card.claim] for card in beside} == {card.claim for card in cards}
    assert {card.n for card in beside} == {8}, "a sample without regions counts"
    cards += tokens.region_cards(answers, "components", "maps")
    assert len({card.claim for card in findings.corrected(cards)}) == len(claims) + 3


def test_example_has_most_to_look_for_and_the_lower_median():
    two, words = (BOX, (80.0, 80.0, 90.0, 90.0)), ("red star", "dog")
    samples = [sample(name, boxes=two, entities=words) for name in "abcd"]
    samples += [sample("e", entities=words), sample("f", boxes=two, entities=("star", "dog"))]
    quality = {"a": 0.9, "b": 0.1, "c": 0.5, "d": None, "e": 0.2, "f": 0.2}
    answers = pd.DataFrame({"sample_id": quality.keys(), "iou": quality.values(), "method": tokens.TAD})
    assert tokens.typical_sample(answers, samples).id == "b", "one without regions has an IoU of 0"
