"""Models made as full-size ones are, but small or shallow."""

import functools
from dataclasses import replace

import pytest

from hide_utils.evaluation.fullsize import ARCHITECTURES


def shrunk(full):
    """A published architecture with a narrow, shallow language model and tower, its other features kept."""
    config = full()
    text, vision = config.get_text_config(), config.vision_config
    text.hidden_size, text.intermediate_size, text.num_hidden_layers, text.vocab_size = 64, 96, 3, 1000
    text.num_attention_heads, text.num_key_value_heads, text.head_dim = 4, 2, 16
    if config.model_type != "internvl":
        text.rope_parameters["mrope_section"] = [4, 2, 2]
        vision.depth, vision.out_hidden_size, vision.num_heads = 2, 64, 2
        vision.fullatt_block_indexes = vision.deepstack_visual_indexes = [1]
    else:
        vision.num_hidden_layers, vision.num_attention_heads = 2, 2
    vision.hidden_size, vision.intermediate_size = 32, 64
    return config


@pytest.fixture(params=ARCHITECTURES)
def small(request, monkeypatch):
    """A model made as a full-size one is, but small."""
    real = ARCHITECTURES[request.param]
    fields = {"config": functools.partial(shrunk, real.config)}
    monkeypatch.setitem(ARCHITECTURES, request.param, type(real)(**(vars(real) | fields)))
    return request.param


def _few_layers(full):
    config = full()
    config.get_text_config().num_hidden_layers = 4
    vision = config.vision_config
    if config.model_type == "internvl":
        vision.num_hidden_layers = 4
    else:
        vision.depth = 4
        vision.fullatt_block_indexes = vision.deepstack_visual_indexes = [1, 3]
    return config


@pytest.fixture
def shallow():
    """Name -> the architecture at full width with four layers in language model and tower, searched at the second."""

    def made(name):
        real = ARCHITECTURES[name]
        return replace(real, layer=1, config=functools.partial(_few_layers, real.config))

    return made
