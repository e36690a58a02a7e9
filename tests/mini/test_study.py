"""The study of decoupled training: what its arms see, that it resumes, that its statistics say what the rows say."""

import json
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from transformers import AutoTokenizer

from hide_utils import paths, plots
from hide_utils.analyses import decoupled_training as study_results
from hide_utils.evaluation.hashes import hash_folder
from hide_utils.findings import non_inferiority, verdict
from hide_utils.mini import study
from hide_utils.mini.study import ARMS, DECOUPLED, MIXED, ORDINARY, START, Plan, StudyLessons
from hide_utils.stats import cluster_bootstrap

SMALL = Plan(steps=2, batch=2, side=320, resolution=256, ordinary=192, n=2, n_ordinary=2)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(paths.MINI)


def text_of(batch, tokenizer):
    return [tokenizer.decode([i for i in row.tolist() if i]).replace("<|image_pad|>", "") for row in batch["input_ids"]]


def test_all_arms_get_the_same_scenes_and_questions(tokenizer):
    drawn = {
        arm: [StudyLessons(SMALL, arm, tokenizer, 5).draw(step) for step in (0, 1)]
        for arm in (ORDINARY, DECOUPLED, MIXED)
    }
    for half in (0, 1):
        texts = {arm: text_of(batches[half], tokenizer) for arm, batches in drawn.items()}
        strip = {arm: [t.replace("<|endoftext|>", "") for t in ts] for arm, ts in texts.items()}
        assert strip[ORDINARY] == strip[DECOUPLED] == strip[MIXED]
        of_mixed, twin = drawn[MIXED][half], drawn[(ORDINARY, DECOUPLED)[half]][half]
        assert all((of_mixed[key] == twin[key]).all() for key in twin)  # one half each
    whole, compact = (drawn[arm][0]["pixel_values"] for arm in (ORDINARY, DECOUPLED))
    assert whole.shape != compact.shape or (whole != compact).any()
    other = StudyLessons(SMALL, ORDINARY, tokenizer, 6).draw(0)
    assert text_of(other, tokenizer) != text_of(drawn[ORDINARY][0], tokenizer)


def test_a_decoupled_picture_shows_the_things_asked_about_in_their_order_and_little_else():
    plan = Plan()
    for seed in range(8):
        image, focus, turns = study.draw_lesson(np.random.default_rng(seed), plan)
        compact = study.decoupled(image, focus)
        assert len(turns) == plan.n_turns and plan.focus[0] <= len(focus) <= plan.focus[1]
        assert compact.mode == "RGB" and np.prod(compact.size) < 0.6 * np.prod(image.size)
        whole, part = np.asarray(image), np.asarray(compact)
        corners = []
        for thing in focus:
            x0, y0, x1, y1 = thing.box_xyxy
            patch = whole[y0:y1, x0:x1]
            inner = part[: part.shape[0] - (y1 - y0) + 1, : part.shape[1] - (x1 - x0) + 1]
            starts = np.argwhere((inner == patch[0, 0]).all(-1)).tolist()
            spots = [(x, y) for y, x in starts if np.array_equal(part[y : y + y1 - y0, x : x + x1 - x0], patch)]
            assert spots, "every thing asked about is there, unchanged"
            corners.append((thing.box_xyxy, spots[0]))
        for box, spot in corners:
            for other, place in corners:
                for axis in (0, 1):
                    if box[axis + 2] < other[axis]:
                        assert spot[axis] < place[axis]
        for pieces, _ in turns:
            words = {word.strip("?") for word in pieces[0][0].splitlines()[0].split()}
            assert any({thing.shape, thing.color} & words for thing in focus)


def test_the_rate_warms_up_and_ends_near_zero():
    factors = [study.rate(step, 40) for step in range(40)]
    assert factors[0] == pytest.approx(0.25) and max(factors) > 0.95 and factors[-1] < 0.01
    assert factors[4:] == sorted(factors[4:], reverse=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    study.run_study(SMALL, [0], folder / "out", folder / "cache")
    return folder


def test_a_study_trains_measures_and_gathers(finished):
    answers, log, plan = study_results.read_study(finished / "out")
    assert list(answers.columns) == study.COLUMNS and set(answers["arm"]) == set(ARMS)
    assert len(answers) == len(ARMS) * (2 * 2 + 2) and answers["correct"].isin((0, 1)).all()
    assert log.groupby("arm")["step"].apply(list).map(len).eq(2).all() and np.isfinite(log["loss"]).all()
    assert plan["runs"] == ["start-0", "ordinary-0", "decoupled-0", "mixed-0"]
    tokens = log.groupby("arm")["image_tokens"].sum()
    assert tokens["decoupled"] < tokens["mixed"] < tokens["ordinary"]
    start = load_file(paths.MINI / "model.safetensors")
    ends = {
        a: load_file(finished / "cache" / plan["hash"] / f"{a}-0" / "model" / "model.safetensors")
        for a in (ORDINARY, MIXED)
    }
    for end in ends.values():
        moved = max(np.abs(end[key] - start[key]).max() for key in end)
        assert 0 < moved < 0.05
    assert any(not np.array_equal(ends[ORDINARY][key], ends[MIXED][key]) for key in start)


def test_a_finished_run_is_not_repeated_and_a_missing_one_is(finished, monkeypatch):
    before = (finished / "out" / "answers.csv").read_bytes()
    folder = finished / "cache" / json.loads((finished / "out" / "plan.json").read_text())["hash"]
    (folder / "decoupled-0" / "answers.csv").unlink()
    (folder / "decoupled-0" / "log.jsonl").unlink()
    (folder / "mixed-0" / "answers.csv").unlink()  # as where its evaluation was interrupted
    trained, train = [], study.train_arm
    monkeypatch.setattr(study, "train_arm", lambda plan, arm, *rest: trained.append(arm) or train(plan, arm, *rest))
    study.run_study(SMALL, [0], finished / "out", finished / "cache")
    assert trained == [DECOUPLED]
    assert (finished / "out" / "answers.csv").read_bytes() == before  # the same lessons, the same answers
    other = replace(SMALL, lr=1e-4)
    monkeypatch.setattr(study, "one_run", lambda *a: (_ for _ in ()).throw(RuntimeError("would run")))
    with pytest.raises(RuntimeError, match="would run"):
        study.run_study(other, [0], finished / "elsewhere", finished / "cache")


def planted(gain=0.0, seeds=3, n=80):
    """Rows in which the arm "decoupled" is right on a further share of the samples, and nothing else differs."""
    rng, rows = np.random.default_rng(0), []
    base = rng.random(n) < 0.5
    for (of_set, method), _ in study_results.OUTCOMES.items():
        for arm in ARMS:
            for seed in range(1 if arm == START else seeds):
                right = base | ((np.arange(n) < gain * n) if arm == DECOUPLED else False)
                for i, value in enumerate(right):
                    rows.append((of_set, 64, arm, seed, method, f"{of_set}-{i}", "k", 4, int(value), np.nan))
    return pd.DataFrame(rows, columns=study.COLUMNS)


def test_a_planted_difference_is_found_and_none_is_not_invented():
    table = study_results.differences(planted(gain=0.5)).set_index(["outcome", "arm", "against"])
    for label in study_results.OUTCOMES.values():
        row = table.loc[(label, DECOUPLED, START)]
        assert verdict(row) == "higher" and row["seeds"] == 3 and row["n"] == 80
        assert verdict(table.loc[(label, ORDINARY, START)]) == "not shown to differ"
        assert non_inferiority(table.loc[(label, ORDINARY, START)], 0.05) == "non-inferior"
    each = study_results.each_seed(planted(gain=0.5))
    assert len(each) == 3 * 3 * 3 and (each.loc[each["arm"] == DECOUPLED, "lost"] == 0).all()
    assert (study_results.differences(planted())["p"] == 1).all()
    mean = study_results.accuracies(planted(gain=0.5)).set_index(["outcome", "arm"])
    assert (mean["low"] <= mean["accuracy"]).all() and (mean["accuracy"] <= mean["high"]).all()
    assert (
        mean.loc[("direct, large scenes", DECOUPLED), "accuracy"]
        > mean.loc[("direct, large scenes", START), "accuracy"]
    )


def test_the_answer_says_what_the_claims_say():
    helped = study_results.findings(study_results.differences(planted(gain=0.5)), 0.05)
    holds = helped.set_index("finding")["holds"]
    assert (holds[[f for f in holds.index if f.startswith("decoupled training helps")]] == "yes").all()
    assert (holds[[f for f in holds.index if f.startswith("mixed training helps")]] == "not shown").all()
    assert (holds[[f for f in holds.index if "no harm" in f]] == "yes").all()
    said = study_results.answer(helped)
    assert said.count("decoupled pictures are better than the start and ordinary training") == 2
    assert said.count("mixed pictures are not shown to differ from the start or ordinary training") == 2
    harmed = planted(gain=0.5)
    harmed["correct"] = np.where(harmed["arm"] == DECOUPLED, 0, harmed["correct"])
    claims = study_results.findings(study_results.differences(harmed), 0.05)
    assert (
        claims.set_index("finding")["holds"].loc["decoupled training does no harm on ordinary scenes (margin 5%)"]
        == "no"
    )
    assert "decoupled pictures do harm" in study_results.answer(claims)


def test_localisation_counts_a_sample_without_regions_as_found_nothing():
    answers = planted(n=8)
    at = answers["method"] == "hide"
    answers.loc[at, "recall50"] = np.where(answers.loc[at, "arm"] == DECOUPLED, 1.0, 0.5)
    answers.loc[at & (answers["sample_id"] == "large-0"), "recall50"] = np.nan
    table = study_results.localisation(answers).set_index("arm")
    assert table.loc[START, "recall50"] == pytest.approx(0.5 * 7 / 8)
    assert table.loc[DECOUPLED, "difference"] == pytest.approx(0.5 * 7 / 8)
    assert table.loc[MIXED, ["difference", "difference_low", "difference_high"]].eq(0).all()


def test_the_interval_holds_both_sources_of_spread():
    rng = np.random.default_rng(1)
    same = np.tile(rng.integers(0, 2, 60), (3, 1)).astype(float)  # seeds do not matter: the bootstrap by samples
    two, one = study_results.two_level_bootstrap(same), cluster_bootstrap(same[0], list(range(60)))
    assert (two.estimate, two.n) == (one.estimate, 60) and two.low == pytest.approx(one.low, abs=0.02)
    apart = np.repeat([[0.0], [0.5], [1.0]], 60, axis=1)  # samples do not matter: the seeds' spread alone
    wide = study_results.two_level_bootstrap(apart)
    assert wide.low <= 0.2 and wide.high >= 0.8
    single = study_results.two_level_bootstrap(same[:1])
    assert single.low < single.estimate < single.high
    for bad in (np.zeros((0, 4)), np.full((2, 3), np.nan)):
        with pytest.raises(ValueError, match="seeds by samples"):
            study_results.two_level_bootstrap(bad)


def written(folder, answers):
    folder.mkdir(parents=True, exist_ok=True)
    answers.to_csv(folder / "answers.csv", index=False)
    runs = answers[answers["arm"] != START].drop_duplicates(["arm", "seed"])
    log = runs[["arm", "seed"]].assign(step=1, loss=1.0, accuracy=0.5, image_tokens=9, cpu_seconds=1.0)
    (folder / "training_log.jsonl").write_text(log.to_json(orient="records", lines=True))
    (folder / "plan.json").write_text("{}")
    return folder


def test_only_complete_seeds_are_read_and_unequal_samples_are_refused(tmp_path):
    answers = planted()
    cut = answers[~((answers["arm"] == MIXED) & (answers["seed"] == 2))]
    read, log, _ = study_results.read_study(written(tmp_path / "cut", cut))
    assert set(read.loc[read["arm"] != START, "seed"]) == {0, 1} == set(log["seed"])
    with pytest.raises(ValueError, match="no seed has all arms"):
        study_results.read_study(written(tmp_path / "none", answers[answers["arm"] != MIXED]))
    odd = answers[~((answers["arm"] == MIXED) & (answers["sample_id"] == "large-3"))]
    with pytest.raises(ValueError, match="different samples"):
        study_results.read_study(written(tmp_path / "odd", odd))
    with pytest.raises(FileNotFoundError, match="make train-study"):
        study_results.read_study(tmp_path / "empty")


def test_figures_show_every_arm(finished):
    answers, log, _ = study_results.read_study(finished / "out")
    table, diffs = study_results.accuracies(answers), study_results.differences(answers)
    fig, axes = plt.subplots(1, 3)
    plots.learning_curves({"loss": axes[0]}, log, looks=study_results.ARM_LOOKS)
    assert [line.get_label() for line in axes[0].get_lines()] == [ORDINARY, DECOUPLED, MIXED]
    lines = {outcome: outcome for outcome in study_results.OUTCOMES.values()}
    looks = {"rows": lines, "looks": study_results.ARM_LOOKS}
    plots.dot_rows(axes[1], table, "outcome", "arm", values=plots.ACCURACY, **looks)
    single = pd.DataFrame({"outcome": [next(iter(lines))] * 3, "arm": ["mixed", "mixed", "start"], "accuracy": 0.5})
    plots.single_dots(axes[1], single, "outcome", "arm", **looks, spread=plots.SPREAD)
    assert sum(line.get_marker() == "." for line in axes[1].lines) == 1, "a single repetition is the point itself"
    assert axes[1].get_legend_handles_labels()[1] == list(ARMS)
    pairs = diffs.assign(pair=diffs["arm"] + diffs["against"])
    plots.difference_rows(axes[2], pairs, "pair", "outcome", 0.05, looks=study_results.OUTCOME_LOOKS)
    assert len(axes[2].get_yticks()) == len(study_results.PAIRS)
    plt.close(fig)


def test_the_course_of_training_is_that_of_the_log():
    steps = np.arange(1, 21)
    loss = np.where(steps == 10, 3.0, 1.0)
    log = pd.concat(
        pd.DataFrame({"arm": arm, "seed": seed, "step": steps, "loss": loss, "accuracy": steps / 20})
        for arm in ARMS[1:] for seed in (0, 1)
    ).assign(image_tokens=7, cpu_seconds=lambda t: 2.0 * t["step"])  # fmt: skip
    row = study_results.training_course(log).set_index("arm").loc[MIXED]
    assert (row["seeds"], row["steps"], row["image_tokens"], row["cpu_seconds"]) == (2, 20, 140, 40)
    assert row["loss_first"] == row["loss_last"] == 1 and row["loss_highest"] == pytest.approx(1.4)
    assert 8 <= row["step_highest"] <= 12
    assert row["accuracy_first"] == pytest.approx(0.15) and row["accuracy_last"] == pytest.approx(0.9)


def test_the_committed_study_is_of_the_shipped_weights_and_complete():
    answers, log, plan = study_results.read_study(paths.DATA / "study")
    assert plan["weights"] == hash_folder(paths.MINI, "*.safetensors")
    seeds = sorted(set(log["seed"]))
    assert len(seeds) >= 3 and (log.groupby(["arm", "seed"])["step"].max() == plan["steps"]).all()
    counts = answers.groupby(["set", "method", "arm", "seed"])["sample_id"].nunique()
    assert (counts.loc["large"] == plan["n"]).all() and (counts.loc["ordinary"] == plan["n_ordinary"]).all()
    assert answers["sample_id"].str.startswith("scenes-test-").all()
    assert not list((paths.DATA / "study").glob("*.safetensors"))


def test_a_run_with_errors_is_not_finished(monkeypatch, tmp_path):
    """What is written counts as done, so that an error in it would stay for ever."""
    row = {"method": "direct", "sample_id": "s0", "kind": "a", "n_options": 2, "recall50": 1.0}
    table = pd.DataFrame([row | {"correct": None, "error": "OutOfMemoryError"}, row | {"correct": True, "error": None}])
    monkeypatch.setattr(study, "evaluate", lambda *a, **k: table.astype({"correct": "boolean"}))
    monkeypatch.setattr(study, "test_sets", lambda *a: {"large": []})
    with pytest.raises(RuntimeError, match="start, seed 0: 1 answers are errors"):
        study.one_run(SMALL, START, 0, tmp_path / "start-0")
    assert not (tmp_path / "start-0" / "answers.csv").exists()
