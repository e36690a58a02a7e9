"""HiDe objects as methods of `evaluate`, beside names."""

import pickle

import pytest
from checkpoints import tiny_model
from model_helpers import picture

from hide_utils import HiDe, evaluate
from hide_utils.baselines import METHODS, named
from hide_utils.evaluation.variants import WITHOUT_SETTINGS, at, label
from hide_utils.samples import Sample

COLUMNS = ["sample_id", "reply", "letter", "correct", "entities", "regions", "image_tokens", "text_tokens", "flops"]


def samples(n=2):
    about = {"question": "What is the color of the dog?", "options": ["red", "blue"], "label": "A", "kind": "color"}
    return [
        Sample(f"s{i}", **about, render=lambda i=i: picture(196, 140, i), boxes_xyxy=[(10, 10, 60, 40)])
        for i in range(n)
    ]


def rows(table, method):
    return table[table["method"] == method][COLUMNS].reset_index(drop=True)


def test_objects_answer_as_runs_of_their_own_do_on_one_prefill(tmp_path):
    model = tiny_model("qwen3_vl")
    objects = [HiDe(model, layer=2), HiDe(model, layer=2, sigma=0, alpha=0.95), HiDe(model, compact_pixels=28 * 28)]
    model.counts.clear()
    table = evaluate(model, samples(), [*objects, "direct", "hide"], tmp_path / "rows.parquet", progress=False)
    assert model.counts["prefills"] == 2 + 1  # one for each picture, and one of the extraction's prompt
    names = ["HiDe(layer=2)", "HiDe(layer=2, sigma=0, alpha=0.95)", "HiDe(compact_pixels=784)"]
    assert table["method"].tolist() == [*names, "direct", "hide"] * 2
    for name, one in zip(names, objects, strict=True):
        alone = evaluate(model, samples(), ["hide"], hide=one, progress=False)
        assert rows(table, name).equals(rows(alone, "hide")), name
    assert rows(table, names[2])["image_tokens"].sum() < rows(table, "hide")["image_tokens"].sum()


def test_rows_belong_to_the_settings_of_their_object(tmp_path):
    model, out = tiny_model("qwen3_vl"), tmp_path / "rows.parquet"
    once = evaluate(model, samples(1), {"mine": HiDe(model, layer=1)}, out, progress=False)
    again = evaluate(model, samples(1), {"mine": HiDe(model, layer=1)}, out, progress=False)
    assert once["seconds"].tolist() == again["seconds"].tolist(), "stored, not made again"
    with pytest.warns(UserWarning, match="1 of 1 rows are of another version of their method"):
        evaluate(model, samples(1), {"mine": HiDe(model, layer=2)}, out, progress=False)


def test_what_cannot_be_one_run_is_refused():
    model, other = tiny_model("qwen3_vl"), tiny_model("qwen2_5_vl")
    for methods, message in (
        ([HiDe(model, layer=2), HiDe(model, layer=2)], r"'HiDe\(layer=2\)' stands twice; give a mapping"),
        ([HiDe(other)], "of another model than the run"),
        ([HiDe(model, reuse_prefix=False)], "other reuse_prefix than the run: give evaluate such a HiDe as hide="),
        ([HiDe(model, prompts={"search": "Find these:"})], "other prompts than the run"),
        ([HiDe(model, protocol="last-char")], "by 'last-char', the run by 'strict': give evaluate protocol="),
        ({"mine": "hdie"}, "did you mean 'hide'"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate(model, samples(1), methods, progress=False)


def test_objects_go_to_other_processes_by_name_and_numbers():
    model = tiny_model("qwen3_vl")
    sent = pickle.loads(pickle.dumps(at(HiDe(model, layer=1), "hide_gated")))
    assert (sent.settings.layer, sent.method, label(HiDe(model))) == (1, "hide_gated", "HiDe()")
    assert named({"mine": "direct"}) == {"mine": METHODS["direct"]}


def test_methods_without_settings_read_none():
    model = tiny_model("qwen3_vl")

    class Blind(HiDe):
        settings = property(lambda self: pytest.fail("settings were read"), lambda self, value: None)
        _check_settings = lambda self: None  # noqa: E731

    hide = Blind(model)
    for sample in samples():
        for name in sorted(WITHOUT_SETTINGS):
            assert METHODS[name](hide, hide.open(sample.images), sample).reply.text is not None
