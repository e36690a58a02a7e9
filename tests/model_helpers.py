"""What several tests of the models need: noise pictures, and a prompt in the stock classes' own words."""

import numpy as np
import torch
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Colored noise, so that no two places look alike."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def stock_inputs(model, prompt, extra_ids=()) -> dict[str, torch.Tensor]:
    """Arguments of the stock forward for a whole prompt and decoded tokens; it works out its own positions."""
    ids = torch.cat([prompt.ids, torch.tensor(list(extra_ids), dtype=torch.long)])[None]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if prompt.images:
        inputs |= model.inputs_of([span.picture for span in prompt.images])
    if model.family.startswith("qwen"):
        inputs["mm_token_type_ids"] = (ids == model.image_token_id).int()
    return inputs


def counted_flops(model, run):
    """FLOPs by torch's counter and by ours while something runs; the plain kernel, since torch counts no CPU flash."""
    model.counts.clear()
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        result = run()
    return counter.get_total_flops(), model.counts["flops"], result
