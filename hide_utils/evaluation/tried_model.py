"""A model that is tried, the pictures that it is tried on, and how two routes to the same numbers are compared."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hide_utils.models import NAMES, VLM, Prompt, Reply
from hide_utils.models.towers import TOWERS

MOST_PIXELS = 2 * 448**2  # of a picture whose rows eager attention computes as well, which keeps whole matrices


class Broken(Exception):
    """What should hold does not; says what was found."""


class NotPossible(Exception):
    """A check that cannot be made here; says why."""


@dataclass(frozen=True)
class Tolerance:
    """How far numbers of two routes may lie apart.

    Attributes:
        rows: largest difference of a row of attention. None: rows drift with the kernel, so that only their correlation
            is compared.
        correlation: least correlation of the rows of a layer.
        logits: largest difference of logits, in standard deviations of all of them.
        regions: least intersection over union of HiDe's regions.
        tower: largest difference of the tower's features, as a share of their norm.
    """

    rows: float | None
    correlation: float
    logits: float
    regions: float
    tower: float


# Half precision drifts with kernels and lengths of a pass. Its bounds catch what is plainly wrong.
TOLERANCES = {
    torch.float32: Tolerance(1e-5, 0.999, 1e-3, 1.0, 1e-4),
    torch.float16: Tolerance(None, 0.98, 0.05, 0.8, 0.02),
    torch.bfloat16: Tolerance(None, 0.9, 0.6, 0.5, 0.1),
}


def blocks(width: int, height: int, seed: int = 0) -> Image.Image:
    """A picture of colored squares of 8 pixels, no two places alike."""
    colors = np.random.default_rng(seed).integers(0, 256, (-(-height // 8), -(-width // 8), 3), dtype=np.uint8)
    return Image.fromarray(colors.repeat(8, 0).repeat(8, 1)[:height, :width])


@dataclass
class Subject:
    """A model and the pictures that it is tried on: a usual one, a tall one, and one 40 times as long as high."""

    vlm: VLM
    image: Image.Image = field(default_factory=lambda: blocks(320, 208))
    tall: Image.Image = field(default_factory=lambda: blocks(144, 256, 1))
    long: Image.Image = field(default_factory=lambda: blocks(1200, 30, 2))

    @property
    def tolerance(self) -> Tolerance:
        """Of the model's type of numbers."""
        return TOLERANCES[self.vlm.dtype]

    def prompt(self, *parts: str | Image.Image) -> Prompt:
        """A prompt whose pictures are small."""
        return self.vlm.prompt(*(self.vlm.prepare(p, MOST_PIXELS) if isinstance(p, Image.Image) else p for p in parts))

    def close(self, one: Reply, other: Reply) -> float:
        """Difference of two first tokens' logits in standard deviations; Broken where it is too large."""
        apart = float((one.first_logits - other.first_logits).abs().max() / other.first_logits.std())
        if not apart <= self.tolerance.logits:
            raise Broken(f"logits differ by {apart:.2g} of their standard deviation (at most {self.tolerance.logits})")
        return apart

    def same(self, one: Reply, other: Reply) -> str:
        """What two replies have in common; Broken where that is too little. In half precision near ties may fall."""
        apart = self.close(one, other)
        if one.ids != other.ids and self.vlm.dtype == torch.float32:
            raise Broken(f"tokens {one.ids} and {other.ids}")
        same = sum(a == b for a, b in zip(one.ids, other.ids, strict=False))
        return f"{same} of {len(other.ids)} tokens, logits within {apart:.1g} of their deviation"


@contextmanager
def kernels(vlm: VLM, text: str, vision: str) -> Iterator[None]:
    """Have the text model and the tower run attention of these names inside the block."""
    own = {"text_config": NAMES[vlm.choices["attention"].value], "vision_config": TOWERS[vlm.choices["vision"].value]}
    vlm.model.set_attn_implementation({"text_config": text, "vision_config": vision})
    try:
        yield
    finally:
        vlm.model.set_attn_implementation(own)


def eager_attention(vlm: VLM, prompt: Prompt) -> dict[int, Tensor]:
    """Layer -> the stock model's own attention, (1, heads, tokens, tokens). It works out positions by itself."""
    ids = prompt.ids[None].to(vlm.device)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    inputs |= vlm.inputs_of([span.picture for span in prompt.images])
    taken = inspect.signature(vlm.model.forward).parameters
    kinds = (ids == vlm.image_token_id).int()
    inputs |= {name: kinds for name in ("mm_token_type_ids", "token_type_ids") if name in taken}
    tower = TOWERS[vlm.choices["vision"].value]
    with torch.inference_mode(), kernels(vlm, "eager", tower):
        found = vlm.model(**inputs, output_attentions=True, use_cache=False, logits_to_keep=1).attentions
    # A model with linear attention hands over the other layers' alone.
    layers = range(vlm.n_layers) if len(found) == vlm.n_layers else vlm.row_layers
    return dict(zip(layers, found, strict=True))


def compare_rows(of: Subject, prompt: Prompt, shared: bool = True) -> str:
    """Captured rows of the last text and the last token beside the stock model's, at every layer that has some.

    Raises:
        Broken: they differ by more than the tolerance.
    """
    vlm, text = of.vlm, prompt.texts[-1]
    queries, layers = [*range(text.start, text.stop), len(prompt) - 1], vlm.row_layers
    prefix = vlm.prefill(prompt) if shared and vlm.shares_prefix else None
    rows, attention = vlm.capture(prompt, queries, layers, prefix), eager_attention(vlm, prompt)
    apart, least = 0.0, 1.0
    counts = [span.picture.n_tokens for span in prompt.images]
    places = (prompt.ids == vlm.image_token_id).nonzero()[:, 0].split(counts)
    for span, maps, own in zip(prompt.images, rows.maps, places, strict=True):
        if not torch.isin(span.positions, own).all():
            raise Broken(f"cells of the picture at token {span.start} are not its own tokens")
        for found, layer in zip(maps, layers, strict=True):
            wanted = attention[layer][0].float().mean(0)[queries].cpu()[:, span.positions].numpy()
            apart = max(apart, float(np.abs(found - wanted).max()))
            least = min(least, float(np.corrcoef(found.ravel(), wanted.ravel())[0, 1]))
    limit = of.tolerance
    found = f"largest difference {apart:.1e}, least correlation {least:.4f}, {len(layers)} layers"
    if not (least >= limit.correlation and (limit.rows is None or apart <= limit.rows)):
        raise Broken(f"{found}; wanted at most {limit.rows} and at least {limit.correlation}")
    return found


def entering(vlm: VLM, prompt: Prompt) -> Tensor:
    """What stands for each token where it enters the text model's first layer, (tokens, width) on the CPU."""
    seen: list[Tensor] = []

    def keep(_: object, given: tuple, named: dict) -> None:
        seen.append((*given, *named.values())[0][0])

    hook = vlm.model.get_decoder().layers[0].register_forward_pre_hook(keep, with_kwargs=True)
    try:
        vlm.generate(prompt, 1)
    finally:
        hook.remove()
    return seen[0].float().cpu()
