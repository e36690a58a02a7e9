"""Models larger than the device: a part of the layers waits on disk and comes when it is needed (accelerate)."""

import numpy as np
import pytest
import torch
from checkpoints import LAYERS, checkpoint, tiny_model
from model_helpers import picture

from hide_utils import HiDe, load_model
from hide_utils.method.entities import SEARCH_INSTRUCTION

QUESTION, OPTIONS = "What is the color of the dog?", ["red", "blue"]


def spread(family):
    """Every part on the CPU but two layers and the vision tower, which are on disk."""
    whole = tiny_model(family).model
    text = "text_model" if hasattr(whole.model, "text_model") else "language_model"
    parts = [f"model.{name}" for name, _ in whole.model.named_children() if name != text]
    parts += [f"model.{name}" for name, _ in whole.model.named_parameters(recurse=False)]  # LLaVA's newline
    parts += [f"model.{text}.{name}" for name, _ in getattr(whole.model, text).named_children() if name != "layers"]
    # Idefics3 puts embeddings where its tower lies, so that one cannot wait on disk.
    on_disk = "model.connector" if family == "idefics3" else parts[0]
    places = dict.fromkeys([*parts, "lm_head"], "cpu") | {on_disk: "disk"}
    return places | {f"model.{text}.layers.{i}": "disk" if i in (1, 3) else "cpu" for i in range(LAYERS)}


# Of each kind of class one family: others differ in nothing that is moved.
CLASSES = "qwen2_5_vl qwen3_vl internvl glm4v mistral3 idefics3 llava_onevision qwen3_5_moe gemma3".split()


@pytest.fixture(scope="module", params=CLASSES)
def offloaded(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("offload")
    places = spread(request.param)
    return load_model(checkpoint(request.param), dtype="float32", device_map=places, offload_folder=folder)


def waiting(model):
    """Weights that are on disk now, by name."""
    return {name for name, weight in model.model.named_parameters() if weight.device.type == "meta"}


def test_answers_boxes_and_maps_are_those_of_the_whole_model(offloaded):
    model, whole = offloaded, tiny_model(offloaded.folder.name)
    before = waiting(model)
    assert len(before) > 10 and "parts on disk" in model.choices["device"].reason
    assert str(model.device) == "cpu"
    for shared in (True, False):
        hides = [HiDe(one, 1, 1.0, 0.5, reuse_prefix=shared) for one in (model, whole)]
        for hide in hides:
            hide.extractor.max_new_tokens = 6  # every pass reads the disk, and random weights do not end their list
        ours, wanted = (hide(picture(300, 220), QUESTION, OPTIONS) for hide in hides)
        assert (ours.answer, ours.direct_answer, ours.boxes) == (wanted.answer, wanted.direct_answer, wanted.boxes)
        np.testing.assert_array_equal(ours.maps, wanted.maps)
    assert waiting(model) == before  # an early exit leaves no weights behind


def test_rows_of_an_early_exit_and_of_a_whole_pass_agree(offloaded):
    prompt = offloaded.prompt(picture(150, 90), f"{SEARCH_INSTRUCTION} dog")
    prefix, queries, before = offloaded.prefill(prompt), [len(prompt) - 1, len(prompt) - 3], waiting(offloaded)
    early = offloaded.capture(prompt, queries, [1, 3], prefix)
    whole = offloaded.capture(prompt, queries, [1, 3], prefix, early_exit=False)
    np.testing.assert_array_equal(early.maps[0], whole.maps[0])
    assert waiting(offloaded) == before
    replies = [offloaded.generate(prompt, 4, start).ids for start in (prefix, None)]
    assert replies[0] == replies[1]


def test_rows_move_to_the_host_once(monkeypatch):
    model = tiny_model("qwen3_vl")
    prompt = model.prompt(picture(150, 90), f"{SEARCH_INSTRUCTION} dog")
    moved, cpu = [], torch.Tensor.cpu
    monkeypatch.setattr(
        torch.Tensor, "cpu", lambda self, *a, **k: moved.append(tuple(self.shape)) or cpu(self, *a, **k)
    )
    model.capture(prompt, [len(prompt) - 1, len(prompt) - 2], [0, 1, 2])
    assert moved == [(3, 2, len(prompt))]


def test_accelerate_chooses_places_under_a_limit(tmp_path):
    """As on a machine whose memory does not hold the model."""
    whole = tiny_model("qwen3_vl")
    size = sum(weight.nbytes for weight in whole.model.parameters())
    model = load_model(
        checkpoint("qwen3_vl"), device="auto", dtype="float32", max_memory={"cpu": size // 2}, offload_folder=tmp_path
    )
    assert waiting(model)
    prompt = model.prompt(picture(150, 90), "What is it?")
    assert model.generate(prompt, 4, model.prefill(prompt)).ids == whole.generate(prompt, 4).ids
