"""What several tests of the models need: noise pictures, and a prompt in the stock classes' own words."""

import numpy as np
import torch
from checkpoints import eager_model
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hide_utils import HiDe
from hide_utils.method import given_entities


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Colored noise, so that no two places look alike."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def search_rows(model, samples, layers=None):
    """Attention rows of every sample's reference entities, in a pass each."""
    hide, layers = HiDe(model), list(model.row_layers) if layers is None else layers
    return [hide.open(one.images).search(given_entities(one.entities), layers) for one in samples]


def stock_inputs(model, prompt, extra_ids=()) -> dict[str, torch.Tensor]:
    """Arguments of the stock forward for a whole prompt and decoded tokens; it works out its own positions."""
    ids = torch.cat([prompt.ids, torch.tensor(list(extra_ids), dtype=torch.long)])[None]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if prompt.images:
        inputs |= model.inputs_of([span.picture for span in prompt.images])
    if model.position_axes > 1:
        inputs["mm_token_type_ids"] = (ids == model.image_token_id).int()
    if model.family == "gemma3":
        inputs["token_type_ids"] = (ids == model.image_token_id).int()
    return inputs


def eager_rows(model, prompt) -> dict[int, torch.Tensor]:
    """Layer -> (heads, tokens, tokens) attention of the stock class with eager attention over a whole prompt."""
    with torch.inference_mode():
        found = eager_model(model.folder.name)(**stock_inputs(model, prompt), output_attentions=True).attentions
    # A class with linear attention hands over the other layers' alone.
    layers = range(model.n_layers) if len(found) == model.n_layers else model.row_layers
    return {layer: rows[0] for layer, rows in zip(layers, found, strict=True)}


def counted_flops(model, run):
    """FLOPs by torch's counter and by ours while something runs.

    The plain kernels run, since torch counts neither flash on a CPU nor grouped products of experts.
    """
    model.counts.clear()
    model.model.set_experts_implementation("eager")
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        result = run()
    return counter.get_total_flops(), model.counts["flops"], result
