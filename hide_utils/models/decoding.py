"""Greedy decoding, of one prompt or of several that begin with the same tokens, and the letters' logits.

Where all layers attend to all tokens, several prompts run as one sequence: the tokens that they share, then those of
each. A mask lets a token see the shared ones and its own prompt's. Nothing of the shared cache is copied, and nothing
is padded.
"""

from __future__ import annotations

import string
import time
from collections import Counter
from collections.abc import Sequence

import torch
from accelerate.utils import align_module_device
from jaxtyping import Bool, Int64
from torch import Tensor
from transformers import DynamicCache, PreTrainedTokenizerBase

from hide_utils.models.backends import Choice
from hide_utils.models.flops import forward_flops, reply_flops
from hide_utils.models.graphs import LEAST_STEPS, MOST_KEYS, StaticSteps
from hide_utils.models.outputs import Prefix, Reply
from hide_utils.models.prompt import Prompt, PromptBuilder
from hide_utils.models.running import Runner

SHARED = -1  # in place of a prompt's number, for a token that all prompts see


def sight(owners: Int64[Tensor, " new"], keys: Int64[Tensor, " keys"]) -> Bool[Tensor, "1 1 new keys"]:
    """Which tokens new ones see: those of their own prompt and the shared ones, up to themselves.

    Args:
        owners: number of the prompt that each new token belongs to.
        keys: the same of all tokens, the new ones last. `SHARED` is everyone's.
    """
    new, all_keys = len(owners), len(keys)
    theirs = (keys == owners[:, None]) | (keys == SHARED)
    return theirs.tril(all_keys - new)[None, None]


class Decoder(Runner):
    """What a model replies.

    Attributes:
        tokenizer: the model's.
        builder: makes ids of texts in which nothing is a special token.
        choices: among them "decoding", how short replies are decoded.
        end_ids: tokens that end a reply.
    """

    tokenizer: PreTrainedTokenizerBase
    builder: PromptBuilder
    choices: dict[str, Choice]
    end_ids: set[int]
    _static: StaticSteps | None = None

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
        owners = torch.full((len(prompt),), SHARED, device=self.device)
        ((ids, passes),) = self._greedy(logits, prompt.position_ids[:, -1:], cache, owners, max_new_tokens, stop)
        return self._reply(prompt, ids, passes, logits[0], states[0][0, -1], time.perf_counter() - began)

    @torch.inference_mode()
    def generate_batch(
        self,
        prompts: Sequence[Prompt],
        max_new_tokens: int = 64,
        stop: str | None = None,
        prefix: Prefix | None = None,
    ) -> list[Reply]:
        """`generate` for several prompts at once. Decoding is bound by memory, so a batch costs little more than one.

        A model with linear or windowed attention runs them one after another: a mask cannot keep their states apart.

        Args:
            prompts: what is answered. Their images have to stand in the prefix.
            max_new_tokens: most tokens of a reply, at least 1.
            stop: text that ends a reply, besides the end tokens.
            prefix: common beginning of all prompts that was run already.

        Returns:
            The replies of one call each, up to rounding. Their `seconds` are equal shares of what ran together.

        Raises:
            ValueError: a prompt has an image to run or does not begin with the prefix, or `max_new_tokens` is less
                than 1.
        """
        if not prompts:
            return []
        (start,) = {self._begin(prompt, prefix) for prompt in prompts}
        if any(list(prompt.images_in(start, len(prompt))) for prompt in prompts):
            raise ValueError("generate_batch runs text alone; put the images into the prefix, or go one by one.")
        # A single one runs without a mask, which fast kernels prefer.
        if len(prompts) == 1 or not self.only_full_attention:
            return [self.generate(prompt, max_new_tokens, prefix, stop) for prompt in prompts]
        began, cache = time.perf_counter(), prefix.fork() if prefix else self._new_cache()
        own = torch.tensor([len(prompt) - start for prompt in prompts], device=self.device)
        ids = torch.cat([prompt.ids[start:] for prompt in prompts])
        positions = torch.cat([prompt.position_ids[:, start:] for prompt in prompts], dim=1)
        self.counts.update({"suffixes" if start else "prefills": 1, "text_tokens": len(ids)})
        owners = torch.arange(len(prompts), device=self.device).repeat_interleave(own)
        keys = torch.cat([torch.full((start,), SHARED, device=self.device), owners])
        with self._last_states() as states:
            logits = self._forward(ids, positions, cache, mask=sight(owners, keys), kept=own.cumsum(0) - 1)
        last = torch.cat([prompt.position_ids[:, -1:] for prompt in prompts], dim=1)
        found = self._greedy(logits, last, cache, keys, max_new_tokens, stop)
        share = (time.perf_counter() - began) / len(prompts)
        rows = zip(prompts, found, logits, states[0][0], strict=True)
        return [self._reply(prompt, *reply, first, state, share) for prompt, reply, first, state in rows]

    def _greedy(self, logits, positions, cache, owners, limit: int, stop: str | None) -> list[tuple[list[int], int]]:
        """Ids of the most likely tokens of each prompt until it has ended, and the passes that this took.

        Logits (prompts, vocab) and positions (axes, prompts) are those of each prompt's last token. Owners are as in
        `sight`, of every cached token.
        """
        if limit < 1:
            raise ValueError(f"max_new_tokens must be at least 1, not {limit}.")
        ids, passes = [list[int]() for _ in logits], [limit] * len(logits)
        running, steps = set(range(len(ids))), self._steps(cache, owners, len(ids), limit)
        for step in range(1, limit + 1):
            tokens = logits.argmax(-1)
            for row, token in enumerate(tokens.tolist()):
                if row in running and token not in self.end_ids:
                    ids[row].append(token)
                if row in running and (token in self.end_ids or (stop and stop in self.decode(ids[row]))):
                    running.discard(row)
                    passes[row] = step
            if not running or step == limit:
                break
            logits = steps(tokens, positions + step)
        self.counts["decoded"] += sum(map(len, ids))
        return list(zip(ids, passes, strict=True))

    def _steps(self, cache: DynamicCache, owners: Tensor, rows: int, limit: int) -> Steps | StaticSteps:
        """What runs one more token of every prompt: the recorded step where recording pays, else the usual pass."""
        decoding, most = self.choices["decoding"].value, len(owners) + rows * limit
        if decoding == "eager" or not self.only_full_attention or limit < LEAST_STEPS or most > MOST_KEYS:
            return Steps(self, cache, owners, rows)
        if self._static is None or not self._static.fits(rows, most):
            self._static = None  # its memory is free before the next one takes its own
            self._static = StaticSteps(self, rows, most, decoding == "graphs")
        try:
            self._static.begin(cache, owners)
        except RuntimeError as error:  # a kernel that cannot be recorded
            self._static = None
            self.choices["decoding"] = Choice("eager", f"fallback: recording failed ({error})")
            return Steps(self, cache, owners, rows)
        return self._static

    def _reply(self, prompt: Prompt, ids, passes: int, logits: Tensor, state: Tensor, seconds: float) -> Reply:
        numbers = logits.float().cpu(), state.float().cpu()
        return Reply(self.decode(ids), ids, *numbers, prompt.n_image_tokens, prompt.n_text_tokens, seconds, passes)

    def counts_alone(self, prompt: Prompt, prefix: Prefix | None, decoded: int, steps: int) -> Counter[str]:
        """What a reply of a batch would have added to `counts`, had its prompt been run alone.

        Args:
            prompt: what was answered.
            prefix: beginning of the prompt that was run already.
            decoded: tokens of the reply.
            steps: forward passes behind the one over the prompt.
        """
        past = len(prefix) if prefix else 0
        pictures = [span.picture for span in prompt.images_in(past, len(prompt))]
        n_image = sum(picture.n_tokens for picture in pictures)
        config, ran = self.model.config, len(prompt) - past
        flops = reply_flops(config, ran, past, steps)
        if pictures:
            flops += forward_flops(config, 0, 0, 0, self.shapes_of(pictures))
        kind = "suffixes" if past else "prefills"
        counts = Counter(
            {kind: 1, "passes": 1 + steps, "text_tokens": ran - n_image, "decoded": decoded, "flops": flops}
        )
        return counts + Counter(images=len(pictures), image_tokens=n_image)

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


class Steps:
    """Runs one more token of every prompt by a usual pass.

    Args:
        model: the model.
        cache: of all tokens so far. It grows.
        owners: as in `sight`, of every cached token.
        rows: number of prompts.
    """

    def __init__(self, model: Runner, cache: DynamicCache, owners: Tensor, rows: int) -> None:
        self.model, self.cache, self.keys = model, cache, owners
        self.rows = torch.arange(rows, device=owners.device)

    def __call__(self, ids: Int64[Tensor, " rows"], positions: Int64[Tensor, "axes rows"]) -> Tensor:
        """Logits (rows, vocab) of the next tokens."""
        self.keys, mask = torch.cat([self.keys, self.rows]), None
        if len(self.rows) > 1:
            mask = sight(self.rows, self.keys)
        return self.model._forward(ids, positions, self.cache, mask=mask, kept=len(self.rows))
