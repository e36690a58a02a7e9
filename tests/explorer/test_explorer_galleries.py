"""What stands beside a view: heads, layers, steps, words, places, and two views compared."""

import io
from datetime import datetime

import numpy as np
import pytest
import torch
from explorer_parts import CONFIG, drawn, leave_out, runs
from model_helpers import eager_rows
from PIL import Image

from hide_utils import HiDe, paths
from hide_utils.baselines.heads import spatial_entropy
from hide_utils.evaluation import localisation
from hide_utils.explorer import Explorer
from hide_utils.explorer.asking import token_rows
from hide_utils.explorer.galleries import STEPS
from hide_utils.images import composite_on_white
from hide_utils.method import lpd, tad
from hide_utils.models.prompt import Prompt


@pytest.fixture
def asked(explorer):
    explorer.form.ask.click()
    return explorer


@pytest.mark.parametrize("second", [False, True])
def test_rows_of_read_and_written_tokens_are_those_of_eager_attention_step_by_step(asked, second):
    case, model = asked.case, asked.hide.model
    behind = composite_on_white(asked.view.compact) if second else None
    reply = case.session.answer(case.question, case.options, behind, limit=5)
    text = case.session.prompts.for_answer(case.question, case.options)
    read, written = token_rows(case.session, text, reply, behind, case.attention.layers)
    assert "".join(read.tokens) == text and len(written.tokens) == len(reply.ids) == 5
    prompt = model.prompt(*[case.image, *([behind] if second else [])], text)
    places = prompt.images[0].positions
    whole = eager_rows(model, prompt)
    for step in range(len(reply.ids)):  # what was there when the step ran that wrote the token
        ids = torch.cat([prompt.ids, torch.tensor(reply.ids[:step], dtype=torch.long)])
        places_unused = torch.zeros(len(prompt.position_ids), len(ids), dtype=torch.long)  # eager counts its own
        rows = eager_rows(model, Prompt(ids, places_unused, prompt.images, prompt.texts))
        for layer in case.attention.layers:
            np.testing.assert_allclose(written.rows[layer, step], rows[layer].mean(0)[-1][places], atol=2e-6)
    for layer in case.attention.layers:
        rows = whole[layer].mean(0)[prompt.texts[0].start : prompt.texts[0].stop]
        np.testing.assert_allclose(read.rows[layer], rows[:, places], atol=2e-6)


def test_words_are_colored_by_what_they_give_the_picture_and_shown_one_by_one(asked):
    words, direct = asked.form.strips.words, asked.case.answers[None]
    titles = [title for title, _ in words.groups]
    assert titles == ["searched for", "asked directly", "direct reply", "reply with the second picture"]
    n = len(asked.case.attention.tokens)
    expected = direct.asked.rows[1].sum((1, 2))
    np.testing.assert_allclose(words.shares[n : n + len(expected)], expected, rtol=1e-6)
    assert words.ends == [min(words.shares), max(words.shares)]
    words.hovered = n + 3
    np.testing.assert_array_equal(drawn(asked.form.pane.map), direct.asked.rows[1, 3])
    words.chosen, words.hovered = 1, -1
    np.testing.assert_array_equal(drawn(asked.form.pane.map), asked.view.maps[1])
    asked.form.layer.value = 2
    np.testing.assert_allclose(words.shares[n : n + len(expected)], direct.asked.rows[2].sum((1, 2)), rtol=1e-6)


def test_a_marked_place_colors_the_words_by_how_much_they_look_there(asked):
    before = list(asked.form.strips.words.shares)
    asked.form.pane.map.asked = [0.25, 0.5, 0.5, 0.75]
    words, rows = asked.form.strips.words, asked.case.answers[None].said.rows[1]
    cells = rows[:, 4:6, 2:4].sum((1, 2)) / rows.sum((1, 2)) / (4 / 64)  # of the 8 x 8 grid
    n = len(words.groups[0][1]) + len(words.groups[1][1])
    np.testing.assert_allclose(words.shares[n : n + len(cells)], cells, rtol=1e-5)
    assert words.shares != before and "marked place" in words.said
    asked.form.pane.map.asked = []
    assert words.shares == before


def test_heads_have_entropy_and_energy_and_their_mean_is_what_is_read(asked):
    form, case = asked.form, asked.case
    before = runs(asked.hide)
    form.heads.value = True
    assert runs(asked.hide) != before and "heads of layer 2 read" in asked.status
    apart = case.session.search(case.entities, [1], heads=True)
    maps = apart.semantic_heads[0].mean(1)
    truth = np.array(case.boxes_xyxy) / 256
    below = [f"{spatial_entropy(m) + 0.0:.2f} · {localisation.energy_in_boxes(m, truth):.0%}" for m in maps]
    assert form.strips.heads.below == below and len(below) > 1
    before = runs(asked.hide)
    form.strips.heads.chosen = [0, 2]
    noise, rows = apart.noise_heads[0, [0, 2]].mean(0), apart.semantic_heads[0, [0, 2]].mean(0)
    np.testing.assert_array_equal(asked.view.maps, tad.purify(np.concatenate([noise, rows]), len(noise), 0.5))
    assert runs(asked.hide) == before and "not asked with these settings" in form.pane.answers.value
    form.strips.heads.chosen = list(range(len(below)))
    np.testing.assert_allclose(asked.view.raw, case.attention.semantic[1], atol=1e-7)
    assert "-p heads '[0, 1" in asked.command


def test_layers_are_a_strip_with_a_line_of_localisation(asked):
    strip, case = asked.form.strips.layers, asked.case
    assert strip.labels == ["1", "2", "3", "4"] and strip.chosen == [1]
    strip.chosen = [3]
    assert asked.knobs.layer == 3 and asked.form.layer.label == "4"
    rows = [np.concatenate([case.attention.noise[i], case.attention.semantic[i]]) for i in range(4)]
    truth = np.array(case.boxes_xyxy) / 256
    energy = [np.nan_to_num(localisation.energy_in_boxes(tad.purify(r, 8, 0.5), truth)).mean() for r in rows]
    np.testing.assert_allclose(strip.line, energy, rtol=1e-6)
    leave_out(asked, 0)
    assert strip.line != energy


def test_every_step_of_the_map_can_be_seen(asked):
    form, view = asked.form, asked.view
    scaled, prior = tad.minmax(tad.smooth(view.raw, 0.5)), tad.noise_prior(view.noise, 0.5)
    expected = {
        "purified": view.maps,
        "raw attention": view.raw,
        "smoothed, scaled": scaled,
        "noise prior": prior[None],
        "above the prior": np.clip(scaled - prior, 0, None),
        "product of the steps": tad.minmax(view.raw) * scaled * view.maps,
    }
    assert list(expected) == list(STEPS) == list(form.step.options)
    for step, maps in expected.items():
        form.step.value = step
        np.testing.assert_allclose(drawn(form.pane.map), maps.max(0), rtol=1e-6)
        assert form.pane.map.top == pytest.approx(1.0 if step != "raw attention" else maps.max())
    assert asked.view.regions == view.regions, "what is looked at changes no region"


def test_boxes_drawn_by_hand_stand_in_for_the_regions_until_reset(asked):
    form = asked.form
    form.pane.map.own = [[8, 8, 40, 40], [30, 30, 60, 50]]
    assert form.own.value == "8 8 40 40; 30 30 60 50"
    assert asked.view.regions == lpd.pixel_regions([(8, 8, 40, 40), (30, 30, 60, 50)], (256, 256)) == [(8, 8, 60, 50)]
    form.ask.click()
    second = composite_on_white(lpd.compact_image(asked.case.image, [(8, 8, 60, 50)]))
    alone = asked.hide.open(asked.case.image).answer(asked.case.question, asked.case.options, second)
    assert asked.case.answers[asked.knobs].text == alone.text
    form.own.value = "8 8 nowhere"
    assert asked.status == "own boxes: want x0 y0 x1 y1 in whole pixels, as 40 30 120 90, not '8 8 nowhere'"
    form.alpha.value, form.heads.value, form.strips.heads.chosen = 0.2, True, [1]
    form.reset.click()
    own = asked.hide.settings
    assert (asked.knobs.layer, asked.knobs.alpha, asked.knobs.heads, asked.knobs.own_boxes) == (
        own.layer,
        own.alpha,
        (),
        (),
    )
    assert form.pane.map.own == [] and asked.view.regions != [(8, 8, 60, 50)]


def test_a_pinned_view_stays_and_what_differs_is_marked_and_listed(asked, samples):
    asked.form.alpha.value = 0.95
    form, pinned = asked.form, asked.shown
    form.pin.click()
    assert form.pinned.box.layout.display is None and form.pane.map.differs == []
    form.alpha.value = 0.9
    view = asked.view
    only = [list(region) for region in view.regions if region not in pinned.view.regions]
    assert form.pane.map.differs == only and only
    cells = np.frombuffer(form.pane.map.marked, np.uint8).reshape(8, 8)
    np.testing.assert_array_equal(cells, (view.union >= 0.9) & (pinned.view.union < 0.95))
    assert asked.pinned == pinned and np.array_equal(drawn(form.pinned.map), pinned.view.union)
    said = form.differences.value
    assert "<td>α</td><td>0.95</td><td>0.9</td>" in said and "<td>layer</td>" not in said
    assert f"<td>{localisation.iou(view.regions, pinned.view.regions):.2f}</td>" in said
    form.question.value, form.entities.value = "Where is the star?", "star"
    form.search.click()
    assert asked.status.startswith("searching: done"), asked.status
    assert "<td>question</td>" in form.differences.value and "<h4>pinned</h4>" in form.pinned.title.value
    form.pin.click()
    assert form.pinned.box.layout.display == "none" and form.pane.map.differs == []


def test_another_model_answers_the_same_question_with_its_own_settings(hide, samples, answers):
    other = HiDe(hide.model, layer=2, sigma=1.0, alpha=0.3)
    explorer = Explorer(hide, samples, answers, config=CONFIG.model_copy(update={"other_model": "x"}), others=[other])
    assert "(evaluation:" in explorer.form.pane.answers.value
    explorer.form.pin.click()
    explorer.form.model.value = 1
    assert (explorer.knobs.layer, explorer.knobs.sigma, explorer.knobs.alpha) == (2, 1.0, 0.3)
    assert explorer.case.name == explorer.pinned.case.name and "-p model x" in explorer.command
    assert "<td>layer</td><td>2</td><td>3</td>" in explorer.form.differences.value


def test_an_upload_is_shown_at_once_and_asked_about_after_a_search(asked, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "CACHE", tmp_path)
    stream = io.BytesIO()
    Image.new("RGB", (120, 80), "red").save(stream, format="PNG")
    file = {"name": "a.png", "type": "", "size": 1, "content": stream.getvalue()}
    asked.form.upload.value = (file | {"last_modified": datetime(2026, 1, 1)},)
    pane = asked.form.pane.map
    assert (pane.size_wh, pane.regions, pane.truth, pane.values) == ([120, 80], [], [], b"")
    asked.form.alpha.value = 0.3
    asked.form.ask.click()
    assert "was not searched yet" in asked.status and pane.values == b""
    asked.form.question.value = "What is there?"
    asked.form.search.click()
    assert asked.case.image.size == (120, 80) and len(pane.values)
    asked.open(asked.form.sample.options[0][1])
    asked.form.upload.value = (file | {"last_modified": datetime(2026, 1, 1)},)
    assert pane.size_wh == [120, 80], "the same file again"


def test_downloaded_arrays_are_those_behind_the_view(asked):
    sent = []
    asked.form.command.send = lambda content, buffers: sent.append((content, buffers))
    asked.form.command._handle_custom_msg({"wanted": "arrays"}, [])
    ((content, (data,)),) = sent
    found = np.load(io.BytesIO(data))
    assert content["name"].endswith(".npz")
    np.testing.assert_array_equal(found["purified"], asked.view.maps)
    np.testing.assert_array_equal(found["regions"], asked.view.regions)
    np.testing.assert_array_equal(found["direct replied rows"], asked.case.answers[None].said.rows)
    assert found["tokens"].tolist() == list(asked.case.attention.tokens)
