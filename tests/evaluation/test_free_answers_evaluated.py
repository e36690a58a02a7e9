"""Questions without options among others: their rows, the methods that need letters, and replies scored anew."""

import warnings

import pandas as pd
import pytest
from checkpoints import tiny_model
from model_helpers import picture

from hide_utils import HiDe, evaluate, findings, paths
from hide_utils.baselines import METHODS, NeedsOptions
from hide_utils.config import RunConfig
from hide_utils.evaluation import stored_measures, tuning
from hide_utils.evaluation.gates import sureness
from hide_utils.evaluation.store import ResultStore
from hide_utils.samples import Sample
from hide_utils.stats import comparison_table

NEEDING = ("direct_logits", "hide_gated", "hide_conformal", "tree_search")


def lettered(i):
    return Sample(f"s{i}", "What color?", ["red", "blue"], "A", "color", lambda: picture(112, 112, i))


def free(i, scorer="normalised", **more):
    given = {"answers": ["Toyota"], "scorer": scorer, "style": "short"} | more
    return Sample(f"f{i}", "What does the sign say?", [], "", "sign", lambda: picture(112, 112, i), **given)


def says_yes(reply, sample):
    return True


def says_no(reply, sample):
    return False


def answer(asked, methods=("direct",), out=None, **more):
    return evaluate(tiny_model("qwen3_vl"), asked, list(methods), out, progress=False, **more)


def test_rows_of_a_benchmark_that_mixes_both():
    methods = ["direct", "hide", *NEEDING]
    with pytest.warns(UserWarning, match=r"4 of 12 rows have errors \(4 NeedsOptions\)"):
        table = answer([lettered(0), free(1, says_yes)], methods)
    rows = table.set_index(["sample_id", "method"])
    for method in ("direct", "hide"):
        row = rows.loc["f1", method]
        assert row["correct"] and row["reply"] and row["answers"] == ["Toyota"] and row["n_options"] == 0
        assert pd.isna(row[["letter", "label", "margin", "error"]]).all()
        assert row["decoded"] > 16, "a free reply has more room than a letter"
    for method in NEEDING:
        row = rows.loc["f1", method]
        assert "compares option letters, and sample f1 has no options" in row["error"] and pd.isna(row["correct"])
    alone = answer([lettered(0)], methods[:2]).set_index(["sample_id", "method"])
    same = ["reply", "letter", "correct", "margin", "label", "n_options", "regions"]
    assert rows.loc[[("s0", "direct"), ("s0", "hide")], same].astype(str).equals(alone[same].astype(str))
    counted = comparison_table(table[table["method"].isin(["direct", "hide"])]).query("kind == 'all'")
    assert list(counted["n"]) == [2, 2] and (counted["unread"] <= 1).all(), "a free reply has no letter to read"


def test_methods_that_need_letters_end_no_run_and_protocols_and_scorers_without_a_use_are_refused(tmp_path):
    mixed = [lettered(0), *[free(i) for i in range(1, 8)]]
    with pytest.warns(UserWarning, match="7 of 8 rows have errors"):
        assert answer(mixed, ["direct_logits"], tmp_path / "a.parquet")["correct"].notna().sum() == 1
    with pytest.warns(UserWarning, match="NeedsOptions: protocol 'logits' compares option letters, and sample f1"):
        table = answer(mixed[:2], ["direct"], protocol="logits")
    assert table["error"].notna().tolist() == [False, True]
    with pytest.raises(ValueError, match="protocol 'logits' compares option letters, and no sample has options"):
        answer([free(1)], protocol="logits")
    with pytest.raises(ValueError, match="every question has options, whose letters `protocol` reads"):
        answer([lettered(0)], scorer="exact")
    with pytest.raises(ValueError, match="sample f1: unknown scorer 'exakt'"):
        answer([free(1)], scorer="exakt")
    with pytest.raises(ValueError, match="sample f1: scorer 'number' needs one number"):
        answer([lettered(0), free(1)], scorer="number")


def test_another_scorer_or_answer_scores_the_stored_reply_anew_without_the_model(tmp_path):
    out, model, asked = tmp_path / "rows.parquet", tiny_model("qwen3_vl"), [lettered(0), free(1, says_no)]
    first = answer(asked, out=out)
    assert not first["correct"][1]
    model.counts.clear()
    changed = [
        ({"scorer": says_yes}, asked, "1 of 2 rows are of another scorer", True),
        ({}, asked, "1 of 2 rows are of another scorer", False),
        ({"scorer": lambda reply, sample: reply == first["reply"][1]}, asked, "another scorer", None),
        ({}, [asked[0], free(1, "exact", answers=[first["reply"][1]])], "another list of accepted answers", None),
    ]
    for more, samples, said, right in changed:
        with pytest.warns(UserWarning, match=f"{said}.*: their replies are scored anew .*f1"):
            table = answer(samples, out=out, **more)
        if right is not None:
            assert table["correct"].tolist() == [first["correct"][0], right]
        assert list(table["reply"]) == list(first["reply"]) and table["answers"][1] == samples[1].answers
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert answer(samples, out=out, **more)["correct"].equals(table["correct"])
    assert model.counts["passes"] == 0 and len(ResultStore(out)) == 2
    with pytest.warns(UserWarning, match="1 of 2 rows are of another prompt style: answered anew"):
        answer([asked[0], free(1, "exact", answers=[first["reply"][1]], style="question")], out=out)


def test_a_scorer_that_fails_costs_its_own_row_and_says_why(tmp_path):
    out = tmp_path / "rows.parquet"
    answer([lettered(0), free(1)], ["direct"], out)
    with pytest.warns(UserWarning) as said:
        table = answer([lettered(0), free(1)], ["direct"], out, scorer=lambda reply, sample: None)
    assert "1 of 2 rows are of another scorer: answered anew" in str(said[0].message)
    assert "returned None, want True or False" in table["error"][1] and table["correct"].isna().tolist() == [
        False,
        True,
    ]


def test_sureness_leaves_out_questions_without_letters_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    cfg, asked = RunConfig(notebook="11_x"), [free(0), lettered(1)]
    for _ in range(2):
        with pytest.warns(UserWarning, match="sureness: 1 of 2 samples are left out .*sample f0 has no options"):
            table = stored_measures(HiDe(tiny_model("qwen3_vl")), asked, sureness, cfg, "sureness", progress=False)
        assert list(table["sample_id"]) == ["s1"] and table["margin"][0] >= 0
    with pytest.raises(NeedsOptions, match="how sure an answer is compares option letters"):
        stored_measures(HiDe(tiny_model("qwen3_vl")), asked[:1], sureness, cfg, "sureness", progress=False)


def test_a_claim_of_a_method_without_any_answer_has_no_card():
    with pytest.warns(UserWarning, match="errors"):
        table = answer([free(i) for i in range(3)], ["direct", "direct_logits"])
    words = {"method": "direct", "against": "direct_logits", "statement": "more"}
    assert findings.cards_of(table, {"over logits": words}) == []


def test_tuning_takes_the_margin_from_questions_with_letters_alone():
    model = tiny_model("qwen3_vl")
    mixed = tuning.tune(model, [lettered(0), free(1)], progress=False)
    assert mixed["hide_gated"] == tuning.tune(model, [lettered(0)], progress=False)["hide_gated"]
    assert "hide_gated" not in tuning.tune(model, [free(1)], progress=False)
    assert set(METHODS) >= set(NEEDING)
