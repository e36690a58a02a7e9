"""Running a model: one prefill, forks of its cache, attention rows."""

from __future__ import annotations

import inspect
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from hide_utils.models.attention import capturing
from hide_utils.models.flops import alike_layers, capture_flops, forward_flops, layer_kinds
from hide_utils.models.outputs import Prefix, Rows
from hide_utils.models.prompt import ProcessedImage, Prompt


class Runner:
    """What a model does with a prompt, replies aside. `VLM` makes the prompts, `Decoder` the replies.

    Attributes:
        model: the stock model.
        device: where inputs go.
        shares_prefix: whether prompts can go on behind a beginning that was run already. A family whose early tokens
            see later ones sets it to False; then every prompt is a full pass.
        n_layers: decoder layers of the text model.
        position_axes: axes of the rotary positions: 1, or 3 for time, row and column.
        counts: everything that was run so far: passes, prefills, suffixes, images, tokens and FLOPs.
    """

    shares_prefix: ClassVar[bool] = True
    model: PreTrainedModel
    device: torch.device
    n_layers: int
    position_axes: int
    counts: Counter[str]
    inputs_of: Callable[[Sequence[ProcessedImage]], dict[str, Tensor]]
    shapes_of: Callable[[Sequence[ProcessedImage]], dict[str, Tensor]]

    @property
    def row_layers(self) -> tuple[int, ...]:
        """Layers that have rows, counted from 0: those whose tokens attend to all that come before them.

        Linear attention has no rows, and those of a window miss the tokens before it.
        """
        kinds = layer_kinds(self.model.config.get_text_config())
        return tuple(layer for layer, kind in enumerate(kinds) if kind == "full_attention")

    @property
    def only_full_attention(self) -> bool:
        """Whether all layers attend to all tokens, so that a mask alone keeps prompts in one sequence apart."""
        return len(self.row_layers) == self.n_layers

    def check_layers(self, layers: Sequence[int]) -> None:
        """Refuse layers that have no rows.

        Raises:
            ValueError: there is none, or one is out of range or has no rows.
        """
        if not layers or not all(0 <= layer < self.n_layers for layer in layers):
            raise ValueError(f"layers must be among 0 to {self.n_layers - 1} (counted from 0), not {layers}.")
        if lacking := sorted(set(layers) - set(self.row_layers)):
            known = ", ".join(map(str, self.row_layers))
            raise ValueError(
                f"layers {lacking} (counted from 0) have no attention rows over the whole prompt; these have: {known}."
            )

    def _forward(self, ids, positions, cache=None, inputs=None, mask=None, kept: int | Tensor = 1) -> Tensor:
        """Logits (kept, vocab) from one pass over ids (n,) at positions (axes, n).

        `kept` is how many of the last tokens have theirs computed, or which of the tokens.
        """
        past = 0 if cache is None else cache.get_seq_length()
        heads = kept if isinstance(kept, int) else len(kept)
        self._count_pass(len(ids), past, heads, inputs)
        return self._pass(ids.to(self.device), positions.to(self.device), cache, inputs, mask, kept)

    @cached_property
    def _alike_layers(self) -> Counter[tuple[str, int]]:
        return alike_layers(self.model.config.get_text_config())

    def _count_pass(self, new: int, past: int, heads: int, inputs: dict[str, Tensor] | None = None) -> None:
        flops = forward_flops(self.model.config, new, past, heads, inputs, self._alike_layers)
        self.counts.update(passes=1, flops=flops)

    def _pass(self, ids, positions, cache, inputs, mask, kept) -> Tensor:
        """`_forward` without the counting, for tensors that lie on the model's device."""
        return self.model(
            input_ids=ids[None],
            position_ids=positions[:, None] if len(positions) > 1 else positions,
            attention_mask=mask,
            use_cache=cache is not None,
            logits_to_keep=kept,
            **{cache_argument(self.model): cache},
            **(inputs or {}),
        ).logits[0]

    @contextmanager
    def _last_states(self) -> Iterator[list[Tensor]]:
        """Collects what enters the head, (1, kept, width) a pass, while the block runs."""
        seen: list[Tensor] = []
        hook = self.model.get_output_embeddings().register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            yield seen
        finally:
            hook.remove()

    def _run(self, prompt: Prompt, start: int, stop: int, cache=None) -> Tensor:
        """Run tokens [start, stop) of a prompt with the images among them; logits (1, vocab) of the last one."""
        pictures = [span.picture for span in prompt.images_in(start, stop)]
        n_image = sum(picture.n_tokens for picture in pictures)
        self.counts["suffixes" if start else "prefills"] += 1
        self.counts["images"] += len(pictures)
        self.counts["image_tokens"] += n_image
        self.counts["text_tokens"] += stop - start - n_image
        inputs = self._inputs_in(prompt, stop, pictures) if pictures else None
        return self._forward(prompt.ids[start:stop], prompt.position_ids[:, start:stop], cache, inputs)

    def _inputs_in(self, prompt: Prompt, stop: int, pictures: Sequence[ProcessedImage]) -> dict[str, Tensor]:
        """What the model takes besides ids for pictures of a prompt that is run up to `stop`, cached tokens included.

        A family overrides it whose masks depend on more than who comes first.
        """
        return self.inputs_of(pictures)

    def _new_cache(self) -> DynamicCache:
        return DynamicCache(config=self.model.config.get_text_config())

    @torch.inference_mode()
    def prefill(self, prompt: Prompt, cut: int | None = None, prefix: Prefix | None = None) -> Prefix:
        """Run a prompt's first tokens once.

        Args:
            prompt: what begins with them.
            cut: how many tokens. None runs up to behind the first image.
            prefix: beginning of the prompt that was run already. It stays as it is.

        Raises:
            ValueError: the cut is out of range, falls inside an image, or is missing for a prompt without an image, or
                the prompt does not begin with the prefix, or the family's prompts share no beginning.
        """
        if not self.shares_prefix:
            raise ValueError(f"prompts of {type(self).__name__} share no beginning; run each from its first token.")
        cut, start = prompt.cut if cut is None else cut, self._begin(prompt, prefix)
        if cut is None or not start < cut < len(prompt):
            raise ValueError(f"cut must lie within the prompt's {len(prompt)} tokens, not {cut}; name one.")
        cache = prefix.fork() if prefix else self._new_cache()
        self._run(prompt, start, cut, cache)
        return Prefix(prompt.ids[:cut], cache, [span.picture for span in prompt.images_in(0, cut)])

    def _begin(self, prompt: Prompt, prefix: Prefix | None) -> int:
        """Position of the first token to run; ValueError where the prompt does not begin with the prefix."""
        if prefix is None:
            return 0
        if not prefix.fits(prompt):
            raise ValueError("the prompt does not begin with this prefix's tokens and pictures; prefill its own.")
        return len(prefix)

    @torch.inference_mode()
    def capture(
        self,
        prompt: Prompt,
        queries: Iterable[int],
        layers: Iterable[int],
        prefix: Prefix | None = None,
        early_exit: bool = True,
        heads: bool = False,
    ) -> Rows:
        """Attention of some tokens to every image of a prompt (paper, section on TAD), in one pass.

        Args:
            prompt: what is run.
            queries: positions in the prompt of the tokens whose rows are wanted.
            layers: decoder layers, counted from 0.
            prefix: beginning of the prompt that was run already. Then only the rest is run, and queries must lie there.
            early_exit: stop the pass after the last wanted layer.
            heads: keep the heads apart instead of taking their mean. This takes as many times the memory; see
                `Session.search`.

        Raises:
            ValueError: a layer or query is out of range, there is none, a layer has no rows, the prompt has no image,
                or it does not begin with the prefix.
        """
        queries, layers = list(queries), sorted(set(layers))
        began, start = time.perf_counter(), self._begin(prompt, prefix)
        self.check_layers(layers)
        if not queries or not all(start <= query < len(prompt) for query in queries):
            raise ValueError(f"queries must be token positions from {start} to {len(prompt) - 1}, not {queries}.")
        if not prompt.images:
            raise ValueError("the prompt has no image whose attention could be captured.")
        with capturing(torch.tensor(queries) - start, layers, early_exit=early_exit, heads=heads) as captured:
            self._run(prompt, start, len(prompt), prefix.fork() if prefix else None)
        self.counts["flops"] += capture_flops(self.model.config, len(queries), layers, len(prompt), start, early_exit)
        if {layer: rows.shape[-1] for layer, rows in captured.rows.items()} != dict.fromkeys(layers, len(prompt)):
            raise ValueError(f"{self.model.config.model_type} gave no rows over the whole prompt at layers {layers}.")
        home = captured.rows[layers[0]].device  # layers may lie on several devices, and one copy to the host is faster
        rows = torch.stack([captured.rows.pop(layer).to(home) for layer in layers]).cpu()
        maps = [rows[..., span.positions].numpy() for span in prompt.images]
        return Rows(layers, queries, maps, time.perf_counter() - began)


def cache_argument(model: torch.nn.Module) -> str:
    """What a stock model's forward calls its cache. transformers 5.24 has a new name, and drops the old one in 5.40."""
    return "cache" if "cache" in inspect.signature(type(model).forward).parameters else "past_key_values"
