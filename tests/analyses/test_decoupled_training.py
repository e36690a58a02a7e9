"""Claims about diets stand on the mean of their seeds, paired by sample, whatever the order of the rows."""

import pandas as pd
import pytest

from hide_utils.analyses import decoupled_training as training
from hide_utils.analyses.decoupled_training import CLAIMS, SECTIONS, DecoupledTrainingConfig


def made_rows(right, n=40):
    """Rows of all models: ``right(diet, seed, i)`` says whether sample i is answered rightly."""
    rows = [
        (
            diet,
            seed,
            *task,
            f"{task[0]}-{i:03d}",
            f"{task[0]}-{i:03d}",
            right(diet, seed, i),
            float(right(diet, seed, i)),
        )
        for diet in training.DIETS
        for seed in ([0] if diet == "none" else [0, 1, 2])
        for task in sorted({(section.scenes, section.method) for section in SECTIONS.values()})
        for i in range(n)
    ]
    columns = ["diet", "seed", "set", "method", "sample_id", "image_id", "correct", "recall50"]
    return pd.DataFrame(rows, columns=columns).sample(frac=1, random_state=0)


NAMES = [claim for claims in CLAIMS.values() for claim in claims]


def test_a_difference_is_the_mean_of_the_seeds_against_the_same_seed_or_the_shipped_model():
    rows = made_rows(
        lambda diet, seed, i: {"none": False, "crowded": seed == 0, "decoupled": seed < 2}.get(diet, i == 0)
    )
    seeds = training.differences(rows, "decoupled against crowded, direct")
    assert seeds.mean().tolist() == [0, 100, 0]
    (card,) = training.cards_of(rows, ["decoupled against crowded, direct"])
    assert card.estimate == pytest.approx(100 / 3) and card.n == 40
    assert training.differences(rows, "decoupled against shipped, direct").mean().tolist() == [100, 100, 0]
    assert training.differences(rows, "decoupled against shipped, boxes").mean().tolist() == [1, 1, 0]


def test_every_claim_has_a_card_of_its_own_and_no_claim_of_the_paper():
    rows = made_rows(lambda diet, seed, i: i % 3 > 0 or diet == "crowded")
    cards = training.cards_of(rows, NAMES)
    assert len({card.statement for card in cards}) == len(NAMES) and {card.paper for card in cards} == {""}
    assert all(card.estimate == 0 for card in cards if "crowded" not in card.claim)
    assert {card.unit for card in cards if card.claim.endswith("boxes") and "true" not in card.claim} == {"recall"}


def test_what_was_not_answered_is_left_out():
    rows = made_rows(lambda diet, seed, i: True)
    assert training.answered(rows) == NAMES
    some = rows[(rows["set"] != "easy") | rows["diet"].isin(["both", "none"])]
    assert training.answered(some, "easy") == ["both against shipped, easy"]
    assert set(NAMES) - set(training.answered(some)) == {
        "crowded against shipped, easy",
        "decoupled against shipped, easy",
    }
    assert len(training.accuracy_by_diet(some).axes[0].get_yticklabels()) == 4


def test_figures_show_every_diet_and_every_claim():
    rows = made_rows(lambda diet, seed, i: (i + seed) % 4 > 0)
    named = ["decoupled against crowded, direct", "both against shipped, direct"]
    fig = training.forest(rows, training.cards_of(rows, named))
    assert [text.get_text() for text in fig.axes[0].get_yticklabels()] == named
    fig = training.accuracy_by_diet(rows)
    assert {text.get_text() for text in fig.legends[0].get_texts()} == {look.label for look in training.DIETS.values()}
    log = pd.DataFrame([(d, s, t, 0.5, 0.9) for d in ("crowded", "both") for s in (0, 1) for t in (10, 20, 30)])
    fig = training.learning_curves(log.set_axis(["diet", "seed", "step", "loss", "letters"], axis=1))
    assert fig.axes[0].lines[0].get_xdata().tolist() == [20, 40]


def test_more_samples_find_smaller_differences_and_equal_answers_any():
    rows = made_rows(lambda diet, seed, i: diet != "crowded" or i % 2 > 0)
    table = training.detectable_differences(rows, [100, 400]).set_index(["claim", "n"])["points"]
    assert table["crowded against shipped, direct", 100] == 2 * table["crowded against shipped, direct", 400] > 10
    assert table["both against shipped, direct", 100] == 0
    assert training.power(table.reset_index()).axes[0].get_ylabel().endswith("points")


def test_the_first_questions_of_each_set_count(tmp_path):
    (tmp_path / "rows").mkdir()
    rows = made_rows(lambda diet, seed, i: True, n=5).assign(letter="A", kind="", error=None)
    for (diet, seed, kind), part in rows.groupby(["diet", "seed", "set"]):
        part.drop(columns=["diet", "seed", "set"]).to_parquet(
            tmp_path / "rows" / f"{diet}-{seed}-{kind}-0-of-1.parquet"
        )
    loaded, _ = training.load_study(DecoupledTrainingConfig(study=str(tmp_path), n=2))
    assert sorted(loaded["sample_id"].unique()) == ["default-000", "default-001", "easy-000", "easy-001"]
    assert training.sources(DecoupledTrainingConfig(study=str(tmp_path)))["folder"]
