"""Running a model: one prefill, forks of its cache, attention rows, greedy decoding."""

from __future__ import annotations

import string
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from accelerate.utils import align_module_device
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from hide_utils.models.attention import capturing
from hide_utils.models.flops import capture_flops, forward_flops
from hide_utils.models.outputs import Prefix, Reply, Rows
from hide_utils.models.prompt import Prompt, PromptBuilder


class Runner:
    """What a model does with a prompt. `VLM` makes the prompts.

    Attributes:
        model: the stock model.
        tokenizer: its tokenizer.
        builder: makes ids of texts in which nothing is a special token.
        device: where inputs go.
        n_layers: decoder layers of the text model.
        end_ids: tokens that end a reply.
        counts: everything that was run so far: passes, prefills, suffixes, images, tokens and FLOPs.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    builder: PromptBuilder
    device: torch.device
    n_layers: int
    end_ids: set[int]
    counts: Counter[str]

    def _forward(self, ids: Tensor, positions: Tensor, cache=None, inputs=None, mask=None) -> Tensor:
        """Logits (batch, vocab) of the last token, from one pass over ids (batch, n) at positions (axes, batch, n)."""
        past = 0 if cache is None else cache.get_seq_length()
        self.counts.update(passes=1, flops=forward_flops(self.model.config, ids.shape[1], past, len(ids), inputs))
        return self.model(
            input_ids=ids.to(self.device),
            position_ids=(positions if len(positions) > 1 else positions[0]).to(self.device),
            attention_mask=mask,
            past_key_values=cache,
            use_cache=cache is not None,
            logits_to_keep=1,
            **(inputs or {}),
        ).logits[:, -1]

    @contextmanager
    def _last_states(self) -> Iterator[list[Tensor]]:
        """Collects what enters the head, (batch, 1, width) a pass, while the block runs."""
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
        names = pictures[0].inputs if pictures else ()
        inputs = {name: torch.cat([picture.inputs[name] for picture in pictures]).to(self.device) for name in names}
        return self._forward(prompt.ids[None, start:stop], prompt.position_ids[:, None, start:stop], cache, inputs)

    def _new_cache(self) -> DynamicCache:
        return DynamicCache(config=self.model.config.get_text_config())

    @torch.inference_mode()
    def prefill(self, prompt: Prompt, cut: int | None = None) -> Prefix:
        """Run a prompt's first tokens once.

        Args:
            prompt: what begins with them.
            cut: how many tokens. None runs up to behind the first image.

        Raises:
            ValueError: the cut is out of range, falls inside an image, or is missing for a prompt without an image.
        """
        cut = prompt.cut if cut is None else cut
        if cut is None or not 0 < cut < len(prompt):
            raise ValueError(f"cut must lie within the prompt's {len(prompt)} tokens, not {cut}; name one.")
        cache = self._new_cache()
        self._run(prompt, 0, cut, cache)
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
            ValueError: a layer or query is out of range, there is none, the prompt has no image, or it does not begin
                with the prefix.
        """
        queries, layers = list(queries), sorted(set(layers))
        began, start = time.perf_counter(), self._begin(prompt, prefix)
        if not layers or not all(0 <= layer < self.n_layers for layer in layers):
            raise ValueError(f"layers must be among 0 to {self.n_layers - 1} (counted from 0), not {layers}.")
        if not queries or not all(start <= query < len(prompt) for query in queries):
            raise ValueError(f"queries must be token positions from {start} to {len(prompt) - 1}, not {queries}.")
        if not prompt.images:
            raise ValueError("the prompt has no image whose attention could be captured.")
        with capturing(torch.tensor(queries) - start, layers, early_exit=early_exit, heads=heads) as captured:
            self._run(prompt, start, len(prompt), prefix.fork() if prefix else None)
        self.counts["flops"] += capture_flops(self.model.config, len(queries), layers, len(prompt), start, early_exit)
        home = captured.rows[layers[0]].device  # layers may lie on several devices, and one copy to the host is faster
        rows = torch.stack([captured.rows.pop(layer).to(home) for layer in layers]).cpu()
        maps = [rows[..., span.positions].numpy() for span in prompt.images]
        return Rows(layers, queries, maps, time.perf_counter() - began)

    @torch.inference_mode()
    def generate(
        self, prompt: Prompt, max_new_tokens: int = 64, prefix: Prefix | None = None, stop: str | None = None
    ) -> Reply:
        """Decode greedily. A checkpoint's own sampling settings and repetition penalty do not apply.

        Args:
            prompt: what is answered.
            max_new_tokens: most tokens of the reply, at least 1.
            prefix: beginning of the prompt that was run already. Then only the rest is run, images in it included. The
                tokens are those of a run without it.
            stop: text that ends the reply, besides the end tokens.

        Raises:
            ValueError: the prompt does not begin with the prefix, or `max_new_tokens` is less than 1.
        """
        began, start = time.perf_counter(), self._begin(prompt, prefix)
        cache = prefix.fork() if prefix else self._new_cache()
        with self._last_states() as states:
            logits = self._run(prompt, start, len(prompt), cache)
        (ids,) = self._greedy(logits, prompt.position_ids[:, None, -1:], cache, max_new_tokens, stop)
        return self._reply(prompt, ids, logits[0], states[0][0, -1], time.perf_counter() - began)

    @torch.inference_mode()
    def generate_batch(
        self,
        prompts: Sequence[Prompt],
        max_new_tokens: int = 64,
        stop: str | None = None,
        prefix: Prefix | None = None,
    ) -> list[Reply]:
        """`generate` for several prompts at once. Decoding is bound by memory, so a batch costs little more than one.

        Args:
            prompts: what is answered. Their images have to stand in the prefix.
            max_new_tokens: most tokens of a reply, at least 1.
            stop: text that ends a reply, besides the end tokens.
            prefix: common beginning of all prompts that was run already.

        Returns:
            The replies of one call each, up to rounding. Their `seconds` are equal shares of the batch's.

        Raises:
            ValueError: a prompt has an image to run or does not begin with the prefix, or `max_new_tokens` is less
                than 1.
        """
        if not prompts:
            return []
        (start,) = {self._begin(prompt, prefix) for prompt in prompts}
        if any(list(prompt.images_in(start, len(prompt))) for prompt in prompts):
            raise ValueError("generate_batch runs text alone; put the images into the prefix, or go one by one.")
        began, width = time.perf_counter(), max(map(len, prompts)) - start
        gaps = torch.tensor([width + start - len(prompt) for prompt in prompts])
        ids = torch.stack([pad(p.ids[start:], (width + start - len(p), 0)) for p in prompts])
        positions = [pad(p.position_ids[:, start:], (width + start - len(p), 0)) for p in prompts]
        mask = pad(torch.arange(width) >= gaps[:, None], (start, 0), value=True).to(self.device)
        cache = prefix.fork(len(prompts)) if prefix else self._new_cache()
        self.counts.update({"suffixes" if start else "prefills": 1, "text_tokens": int((width - gaps).sum())})
        with self._last_states() as states:
            logits = self._forward(ids, torch.stack(positions, dim=1), cache, mask=mask)
        last = torch.stack([p.position_ids[:, -1:] for p in prompts], dim=1)
        found = self._greedy(logits, last, cache, max_new_tokens, stop, mask)
        share = (time.perf_counter() - began) / len(prompts)
        return [self._reply(*parts, share) for parts in zip(prompts, found, logits, states[0][:, -1], strict=True)]

    def _greedy(self, logits, position, cache, max_new_tokens, stop=None, mask=None) -> list[list[int]]:
        """Ids of the most likely tokens until every row has ended.

        Logits (batch, vocab) and position (axes, batch, 1) are those of the last token that was run.
        """
        if max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, not {max_new_tokens}.")
        ids: list[list[int]] = [[] for _ in logits]
        running = set(range(len(ids)))
        for step in range(1, max_new_tokens + 1):
            tokens = logits.argmax(-1, keepdim=True)
            for row, token in enumerate(tokens[:, 0].tolist()):
                if row in running and token not in self.end_ids:
                    ids[row].append(token)
                if token in self.end_ids or (stop and stop in self.decode(ids[row])):
                    running.discard(row)
            if not running or step == max_new_tokens:
                break
            mask = None if mask is None else pad(mask, (0, 1), value=True)
            logits = self._forward(tokens, position + step, cache, mask=mask)
        self.counts["decoded"] += sum(map(len, ids))
        return ids

    def _reply(self, prompt: Prompt, ids: list[int], logits: Tensor, state: Tensor, seconds: float) -> Reply:
        numbers = logits.float().cpu(), state.float().cpu()
        return Reply(self.decode(ids), ids, *numbers, prompt.n_image_tokens, prompt.n_text_tokens, seconds)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids, special tokens left out."""
        return self.tokenizer.decode(ids, skip_special_tokens=True)

    def letter_logits(self, reply: Reply, n_options: int) -> dict[str, float]:
        """Logit of each option letter as the reply's first token: the larger of "A" and " A".

        Whatever compares letters takes them from here. They are products of the last state with the letters' rows of
        the head, in double precision. In bfloat16, two letters close to each other would be equal.

        Args:
            reply: a reply of this model.
            n_options: how many letters, from "A" on.

        Raises:
            ValueError: there are not 1 to 26 options, or a letter is no single token.
        """
        if not 1 <= n_options <= 26:
            raise ValueError(f"letters stand for 1 to 26 options, not {n_options}.")
        spelled = {letter: self._letter_ids(letter) for letter in string.ascii_uppercase[:n_options]}
        logits = iter(self._logits_of([i for ids in spelled.values() for i in ids], reply.last_state))
        return {letter: max(next(logits) for _ in ids) for letter, ids in spelled.items()}

    @torch.inference_mode()
    def _logits_of(self, ids: list[int], state: Tensor) -> list[float]:
        """Logits of some tokens after a last state (width,), scaled and capped as transformers' models do."""
        head, text = self.model.get_output_embeddings(), self.model.config.get_text_config()
        with align_module_device(head):  # the head of a model larger than the device may wait on disk
            parts = [p[ids].cpu().double() for p in (head.weight, getattr(head, "bias", None)) if p is not None]
        logits = parts[0] @ state.double() + sum(parts[1:])
        logits *= getattr(text, "logit_scale", 1) / getattr(text, "logits_scaling", 1)
        cap = getattr(text, "final_logit_softcapping", None)
        return (cap * torch.tanh(logits / cap) if cap else logits).tolist()

    def _letter_ids(self, letter: str) -> tuple[int, ...]:
        ids = tuple(ids[0] for text in (letter, " " + letter) if len(ids := self.builder.encode(text)) == 1)
        if not ids:
            raise ValueError(f"this tokenizer has no single token for the letter {letter!r}.")
        return ids
