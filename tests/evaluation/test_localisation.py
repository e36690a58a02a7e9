import numpy as np
import pytest
from checkpoints import tiny_model
from model_helpers import picture

from hide_utils.baselines import of_pictures, of_regions
from hide_utils.evaluation import localisation
from hide_utils.method import tad
from hide_utils.method.hide import HiDe
from hide_utils.samples import Sample

SIDE = 160
BOX = (16.0, 16.0, 48.0, 48.0)  # of 160 pixels: cells 2 to 5 of 20, 4 % of the area


def sample(name="s0", boxes=(BOX,), entities=("red star",)):
    return Sample(
        name, "What is red?", ["star", "dog"], "A", "drawn", lambda: picture(84, 84), list(boxes), list(entities)
    )


def peaked(cells, share=0.5, side=20):
    """A row whose attention to the picture sums to `share`, all of it in the given (rows, columns)."""
    row = np.zeros((side, side), np.float32)
    row[cells] = 1
    return row * np.float32(share / row.sum())


def test_instruction_tokens_are_purified_by_the_others():
    noise = np.stack([peaked(np.s_[0:2, 0:2]), peaked(np.s_[0:2, 0:2]), peaked(np.s_[5:7, 5:7])])
    held_out = localisation.held_out_maps(noise, 0.0)
    for number in range(3):
        others = np.delete(noise, number, 0)
        expected = tad.purify(np.concatenate([others, noise[[number]]]), 2, 0.0)[0]
        np.testing.assert_allclose(held_out[number], expected, atol=1e-6)
    with pytest.raises(ValueError, match="at least two"):
        localisation.held_out_maps(noise[:1], 0.0)


def test_auc_of_maps_that_can_be_worked_out_by_hand():
    box = [(0.1, 0.1, 0.3, 0.3)]  # cells 2 to 5 of 20
    inside, away, flat = peaked(np.s_[2:6, 2:6]), peaked(np.s_[12:16, 12:16]), np.ones((20, 20), np.float32)
    ties = (384 - 16) / 2 / 384  # of the 384 cells outside, 16 have more, and the others as much
    np.testing.assert_allclose(localisation.auc(np.stack([inside, away, flat]), box), [1, ties, 0.5])
    assert localisation.auc(np.stack([[inside], [-inside]]), box) == pytest.approx(np.array([[1.0], [0.0]]))
    half = np.array([[[2.0, 1.0]]])  # the box covers all of the first cell and half of the second
    inside_more = (1 * 0.5 + 0.5 * 0.5 * 0.5) / (1.5 * 0.5)  # the half inside ties with the half outside
    assert localisation.auc(half, [(0, 0, 0.75, 1)]) == pytest.approx(np.array([inside_more]))


def test_edited_pictures_use_the_shared_prefill_only_behind_the_original():
    model = tiny_model("qwen3_vl")
    hide, one = HiDe(model, None, 1.0, 0.6), sample("a")
    session = hide.open(one.image)
    before = model.counts["prefills"]
    grey = of_pictures(lambda session, sample: [session.image.convert("L").convert("RGB")])(hide, session, one)
    assert (grey.steps, model.counts["prefills"] - before) == (("pictures",), 1)
    both = of_pictures(lambda session, sample: [session.image, session.image.rotate(90)])(hide, session, one)
    alone = HiDe(model, reuse_prefix=False).open(one.image)
    again = alone.answer_from([alone.image, alone.image.rotate(90)], one.question, one.options)
    assert both.steps == ("prefill", "pictures") and both.reply.ids == again.ids
    layout = of_regions(lambda *_: [(0, 0, 28, 28)], lambda image, regions: image.crop(regions[0]), ("prefill",))
    assert layout(hide, session, one).regions == ((0, 0, 28, 28),)
