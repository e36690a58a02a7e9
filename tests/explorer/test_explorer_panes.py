"""The explorer's panes: heat map, boxes, chips, labels and what is said of stored answers."""

import html
import io
import re

import ipywidgets
import numpy as np
from explorer_parts import drawn
from matplotlib import colormaps
from model_helpers import picture
from PIL import Image

from hide_utils.explorer import said, strips
from hide_utils.explorer.opening import open_own
from hide_utils.explorer.sample_list import SampleList
from hide_utils.explorer.widgets import Thumbs, jpeg
from hide_utils.method.entities import given_entities
from hide_utils.models.world import World
from hide_utils.scenes import RECORD


def test_heat_map_is_that_of_the_figures():
    base, level = picture(60, 40), np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6)
    found = np.asarray(said.heated(base, level), float)
    cells = np.kron(level, np.ones((10, 10)))[..., None]
    opacity = 0.2 + 0.6 * cells
    color = 255 * colormaps["inferno"](cells[..., 0])[..., :3]
    np.testing.assert_allclose(found, (1 - opacity) * np.asarray(base) + opacity * color, atol=3)


def test_every_filter_stands_at_a_choice(explorer):
    """An option whose value is None is no choice at all to ipywidgets."""
    form = explorer.form
    assert all(box.index is not None for box in (form.kind, *form.outcomes.values(), form.sample, form.layout))


def test_browser_gets_the_map_the_boxes_and_a_picture_that_is_never_enlarged(explorer):
    pane, view = explorer.form.pane.map, explorer.view
    np.testing.assert_array_equal(drawn(pane), view.union)
    assert (pane.regions, pane.top, pane.size_wh) == ([list(one) for one in view.regions], 1.0, [256, 256])
    assert pane.truth == [list(box) for box in explorer.case.boxes_xyxy]
    assert Image.open(io.BytesIO(pane.picture)).size == (256, 256)
    wide = Image.open(io.BytesIO(jpeg(Image.new("RGBA", (4000, 10)), 640)))
    assert (wide.size, wide.mode, wide.getpixel((0, 0))) == ((640, 2), "RGB", (255, 255, 255))
    tokens = explorer.form.strips.tokens
    cells = np.frombuffer(tokens.maps, np.uint8).reshape(view.maps.shape)
    np.testing.assert_allclose(cells / 255, view.maps, atol=0.5 / 255 + 1e-6)


def test_many_tokens_are_drawn_in_part_and_the_rest_counts(hide, samples, explorer):
    names = ", ".join(
        f"{word} with {color} color" for word in ("star", "dog", "truck") for color in ("red", "blue", "white")
    )
    case = open_own(hide, samples[0].image, "Where?", None, given_entities(names))
    explorer.show(case)
    extra = len(case.attention.tokens) - strips.MOST_THUMBS
    tokens = explorer.form.strips.tokens
    assert extra > 0 and len(tokens.labels) == strips.MOST_THUMBS
    assert len(tokens.maps) == strips.MOST_THUMBS * tokens.grid_hw[0] * tokens.grid_hw[1]
    assert f"and {extra} more" in tokens.said
    assert explorer.view.on.all()


def test_notes_stand_with_what_was_searched_for(explorer, samples, monkeypatch, tmp_path):
    model = explorer.hide.model
    monkeypatch.setattr(model, "world", World.of_record(RECORD))
    explorer.open(samples[0].id)
    assert explorer.case.notes == () and "this model" not in explorer.form.pane.legend.value, "a drawn scene"
    picture(160, 120).save(tmp_path / "own.png")
    explorer.upload = tmp_path / "own.png"
    explorer.form.question.value, explorer.form.entities.value = "What is on the bag?", "bag"
    explorer.search()
    words = html.unescape(explorer.form.pane.legend.value)
    assert len(explorer.case.notes) == 2 and all(f"<p>{note}</p>" in words for note in explorer.case.notes)
    title = " ".join(explorer.figure()._suptitle.get_text().split())
    assert all(" ".join(note.split()) in title.replace("\\$", "$") for note in explorer.case.notes)
    monkeypatch.setattr(model, "world", None)
    assert "this model" not in said.legend_html(explorer.shown)


def test_every_control_has_a_label_and_every_picture_a_meaning(explorer):
    form = explorer.form
    for control in form.enabled:
        assert (control.does if isinstance(control, Thumbs) else control.description).strip(), control
    assert f'alt="{html.escape(form.pane.compact.meaning)}"' in form.pane.compact.value
    assert form.pane.map.meaning.startswith("now: picture with a map over it")
    placed = {id(form.box)}
    todo = [form.box]
    while todo:
        children = getattr(todo.pop(), "children", ())
        placed |= {id(child) for child in children}
        todo += children
    missing = [control for control in form.enabled if id(control) not in placed]
    assert not missing and all(isinstance(control, ipywidgets.DOMWidget) for control in form.enabled)


def test_no_script_stands_in_an_attribute_and_the_command_is_a_widget_of_its_own(explorer):
    assert explorer.form.command.value == explorer.command.strip() != ""
    todo, texts = [explorer.form.box], []
    while todo:
        widget = todo.pop()
        todo += getattr(widget, "children", ())
        texts += [widget.value] if isinstance(widget, ipywidgets.HTML) else []
    assert len(texts) > 8, "the search sees the panes"
    assert not [text for text in texts if re.search(r"\son\w+\s*=|<script", text)]


def test_sample_list_knows_what_the_evaluation_stored(samples, answers):
    listed = SampleList(samples, answers)
    assert listed.right(samples[1].id) == {"direct": False, "hide": True}
    assert listed.letters(samples[1].id)["hide"] == samples[1].label
    assert listed.entities(samples[0]).names == tuple(samples[0].entities)
    fallback = answers.assign(entities=samples[0].question)
    assert SampleList(samples, fallback).entities(samples[0]) is None, "it had listed nothing"
    assert SampleList(samples).passing(None, {}) == [(f"…{i}", s.id) for i, s in enumerate(samples)]
    assert SampleList(samples[:1]).passing(None, {}) == [(samples[0].id, samples[0].id)]
