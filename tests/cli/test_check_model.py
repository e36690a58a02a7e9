"""`hide check-model`: everything holds for the tiny checkpoints, and each check fails where its subject is broken."""

import json
import re
import shutil
from dataclasses import replace

import pytest
import torch
from checkpoints import FAMILIES, KINDS_OF_FAMILY, checkpoint, tiny_model
from model_helpers import picture

from hide_utils import HiDe, paths
from hide_utils.cli.main import main
from hide_utils.evaluation import model_checks
from hide_utils.evaluation.model_checks import CHECKS, FAILS, HOLDS, NOT_POSSIBLE, checks
from hide_utils.models import FAMILIES as REGISTRY
from hide_utils.models import Prefix, attention, flops, load_model, towers

LINE = re.compile(r"(.{40}) (holds|fails|not possible) +(.*)")


def table(capsys):
    """What was printed: check -> verdict and result."""
    text = capsys.readouterr().out
    assert text.isascii()
    return {found[1].strip(): (found[2], found[3]) for found in map(LINE.fullmatch, text.splitlines()) if found}


LONG = [family for family in (*FAMILIES, "internvl3_5_moe") if family not in KINDS_OF_FAMILY]


@pytest.mark.parametrize("family", [*KINDS_OF_FAMILY, *(pytest.param(one, marks=pytest.mark.long) for one in LONG)])
def test_all_holds_for_a_checkpoint_of_each_family_but_calibrated_settings(family, capsys):
    assert main(["check-model", str(checkpoint(family)), "--device", "cpu"]) == 0
    found = table(capsys)
    assert list(found) == list(CHECKS)
    verdict, why = found.pop("settings published or calibrated")
    assert verdict == NOT_POSSIBLE and "guess" in why
    assert {verdict for verdict, _ in found.values()} == {HOLDS}


def test_page_of_families_is_in_step_with_those_that_load():
    lines = (paths.ROOT / "docs" / "families.md").read_text(encoding="utf-8").splitlines()
    rows = [line.split("|")[1:-1] for line in lines if line.startswith("| `") and "`model_type`" not in line]
    named = {row[0].strip(" `"): row[-1].strip() for row in rows}
    assert len(named) == len(rows) and named.keys() == REGISTRY.keys()
    for name, said in named.items():
        settings = REGISTRY[name].family_settings
        assert said.startswith("guess" if settings.guessed else "published"), name


def test_settings_that_are_a_guess_are_noted():
    """The tiny model has another depth than the one that settings were published for."""
    asked = picture(160, 160), "Where is the dog?", ["left", "right"], ["dog"]
    result = HiDe(tiny_model("qwen3_vl"))(*asked)
    (note,) = result.notes
    assert "not calibrated" in note and "guess" in note and "layer scaled from 18 of 36" in note
    assert note in str(result) and repr(result.notes) in repr(result)
    assert HiDe(tiny_model("qwen3_vl"), layer=2)(*asked).notes == ()


def test_half_precision_and_calibrated_settings(tmp_path, capsys):
    folder = shutil.copytree(checkpoint("qwen3_vl"), tmp_path / "model")
    (folder / "hide.json").write_text(json.dumps({"layer": 2, "sigma": 1.5, "alpha": 0.5}))
    assert main(["check-model", str(folder), "--device", "cpu", "--dtype", "bfloat16"]) == 0
    found = table(capsys)
    assert {verdict for verdict, _ in found.values()} == {HOLDS}
    assert "layer 2 (counted from 0), sigma 1.5, alpha 0.5: calibrated" in found["settings published or calibrated"][1]


def test_a_checkpoint_that_is_broken_is_said_to_be(tmp_path, capsys):
    """Its files belong to different models, or its template loses pictures."""
    for number, (file, values) in enumerate(
        [("config.json", {"image_token_id": 3}), ("preprocessor_config.json", {"image_processor_type": "Nothing"})]
    ):
        folder = shutil.copytree(checkpoint("qwen3_vl"), tmp_path / str(number))
        (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | values))
        assert main(["check-model", str(folder), "--device", "cpu"]) == 1
        assert list(table(capsys)) == ["loads"]
    folder = shutil.copytree(checkpoint("qwen3_vl"), tmp_path / "template")
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'][0]['text'] }}")
    assert main(["check-model", str(folder), "--device", "cpu"]) == 1
    found = table(capsys)
    assert found["tokens are the chat template's"][0] == FAILS and found["layers with rows"][0] == HOLDS
    assert main(["check-model", str(tmp_path / "nowhere")]) == 1


# What is broken on purpose -> the check that has to notice it.


def other_settings(vlm, monkeypatch):
    monkeypatch.setattr(type(vlm), "row_layers", (0, 2))  # a hybrid model's


def no_layers(vlm, monkeypatch):
    monkeypatch.setattr(type(vlm), "row_layers", ())


def darker(vlm, monkeypatch):
    vlm.colors = vlm.colors - 1e-3


def other_template(vlm, monkeypatch):
    vlm.tokenizer.chat_template = vlm.tokenizer.chat_template.replace("assistant\\n", "assistant \\n")
    vlm.builder.text_tokenizer.pre_tokenizer = None


def turned_grid(vlm, monkeypatch):
    prepare = vlm._prepare

    def turned(image, max_pixels):
        picture = prepare(image, max_pixels)
        object.__setattr__(picture, "layout", picture.layout.flip(0))
        return picture

    vlm._prepare = turned


def shared_cells(vlm, monkeypatch):
    prepare = vlm._prepare

    def doubled(image, max_pixels):
        picture = prepare(image, max_pixels)
        picture.layout[0, 0] = picture.layout[-1, -1]
        return picture

    vlm._prepare = doubled


def flat_tower(vlm, monkeypatch):
    monkeypatch.setattr(towers, "batched", lambda q, k, v, borders, scaling=None: v.transpose(1, 2))


def sharper_rows(vlm, monkeypatch):
    own = attention.attention_rows
    monkeypatch.setattr(attention, "attention_rows", lambda *given, **named: own(*given, **named) ** 1.01)


def plain_positions(vlm, monkeypatch):
    vlm.position_ids = lambda ids, pictures: torch.arange(len(ids)).expand(3, -1)


def late_exit(vlm, monkeypatch):
    own = vlm.capture

    def capture(*given, early_exit=True, **named):
        found = own(*given, early_exit=early_exit, **named)
        if not early_exit:
            found.maps[0][:] += 1e-7
        return found

    vlm.capture = capture


def second_picture_elsewhere(vlm, monkeypatch):
    own = vlm.builder.build

    def build(parts):
        ids, images, texts = own(parts)
        return ids, [image if not i else replace(image, start=image.start - 2) for i, image in enumerate(images)], texts

    vlm.builder.build = build


def short_count(vlm, monkeypatch):
    own = vlm.n_image_tokens
    vlm.n_image_tokens = lambda size: own(size) - (size[0] > 1000)


def prefix_of_another_picture(vlm, monkeypatch):
    own = vlm.prefill

    def prefill(prompt, cut=None, prefix=None):
        found = own(prompt, cut, prefix)
        for layer in found.cache.layers:
            layer.values = layer.values.roll(1, dims=-2)
        return found

    vlm.prefill = prefill


def forks_that_share(vlm, monkeypatch):
    """As a recurrent state that is updated in place would: each fork goes on where the last one stopped."""
    own = Prefix.fork

    def fork(self, rows=1):
        for layer in self.cache.layers:
            layer.values.mul_(1.05)
        return own(self, rows)

    monkeypatch.setattr(Prefix, "fork", fork)


def tower_for_free(vlm, monkeypatch):
    monkeypatch.setitem(flops.VISION, vlm.family, lambda config, inputs: 0)


def no_tower_count(vlm, monkeypatch):
    monkeypatch.delitem(flops.VISION, vlm.family)


BROKEN = [
    (no_layers, "layers with rows"),
    (other_settings, "settings published or calibrated"),
    (darker, "tower inputs are the image processor's"),
    (flat_tower, "tower's features are the stock kernel's"),
    (other_template, "tokens are the chat template's"),
    (turned_grid, "grid covers the picture"),
    (shared_cells, "grid covers the picture"),
    (sharper_rows, "rows equal eager attention's"),
    (plain_positions, "rows equal eager attention's"),
    (late_exit, "... in full passes, stopped early"),
    (second_picture_elsewhere, "... of two pictures"),
    (sharper_rows, "... of a 40:1 picture"),
    (short_count, "... of a 40:1 picture"),
    (prefix_of_another_picture, "shared prefix: tokens of full passes"),
    (prefix_of_another_picture, "shared prefix: boxes of full passes"),
    (forks_that_share, "three forks agree"),
    (tower_for_free, "FLOPs equal torch's counter"),
    (no_tower_count, "FLOPs equal torch's counter"),
]


@pytest.mark.parametrize(("damage", "what"), BROKEN, ids=[f"{damage.__name__}-{what}" for damage, what in BROKEN])
def test_each_check_notices_what_is_broken(damage, what, monkeypatch):
    """Without the damage it holds: the table of this checkpoint is among those above."""
    vlm = load_model(checkpoint("qwen3_vl"), device="cpu")
    monkeypatch.setattr(model_checks, "CHECKS", {what: CHECKS[what]})
    damage(vlm, monkeypatch)
    (found,) = checks(vlm)
    assert found.verdict == FAILS and found.result, found


def test_every_check_has_a_subject_that_breaks_it():
    assert {what for _, what in BROKEN} == set(CHECKS)


def test_a_family_that_cannot_share_a_prefix_says_so(monkeypatch):
    vlm = load_model(checkpoint("qwen3_vl"), device="cpu")
    vlm.shares_prefix = False
    found = {check.what: check for check in checks(vlm)}
    assert [what for what, check in found.items() if check.verdict == NOT_POSSIBLE] == [
        "settings published or calibrated",
        "shared prefix: tokens of full passes",
        "shared prefix: boxes of full passes",
        "three forks agree",
    ]
    assert "full pass" in found["three forks agree"].result


def test_the_model_is_left_as_it_was(monkeypatch):
    changing = (
        "tower's features are the stock kernel's",
        "rows equal eager attention's",
        "FLOPs equal torch's counter",
    )
    monkeypatch.setattr(model_checks, "CHECKS", {what: CHECKS[what] for what in changing})
    vlm = load_model(checkpoint("qwen3_vl_moe"), device="cpu")
    vlm.counts["passes"] = 7
    text = vlm.model.config.get_text_config()
    before = (
        text._attn_implementation,
        text._experts_implementation,
        vlm.model.config.vision_config._attn_implementation,
    )
    (check,) = [check for check in checks(vlm) if check.what == "FLOPs equal torch's counter"]
    assert check.verdict == HOLDS and vlm.counts["passes"] > 7
    after = text._attn_implementation, text._experts_implementation, vlm.model.config.vision_config._attn_implementation
    assert before == after
