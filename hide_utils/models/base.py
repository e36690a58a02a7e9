"""What the families share: one prefill, forks of its cache, attention rows, greedy decoding."""

from __future__ import annotations

import copy
import string
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import ClassVar

import torch
from jaxtyping import Int64
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache

from hide_utils.images import read_image
from hide_utils.models.attention import NAMES, capturing
from hide_utils.models.backends import Choice
from hide_utils.models.flops import capture_flops, forward_flops
from hide_utils.models.outputs import Prefix, Reply, Rows, Settings
from hide_utils.models.patches import patches_as_products
from hide_utils.models.prompt import ProcessedImage, Prompt, PromptBuilder, arange_positions


class VLM:
    """A vision-language model behind the interface that the method needs.

    A family subclasses it: `image_token`, `wrap`, `position_axes`, `family_settings`, `family_depth`, `max_aspect`,
    `_prepare`, `n_image_tokens`, and `position_ids` where positions are not simply counted.
    """

    image_token: ClassVar[str]
    wrap: ClassVar[tuple[str, str] | None] = None
    position_axes: ClassVar[int] = 1
    family_settings: ClassVar[Settings]
    family_depth: ClassVar[int]
    max_aspect: ClassVar[float | None] = None  # the processor refuses longer pictures

    def __init__(self, name, model, tokenizer, image_processor, choices: dict[str, Choice], pixels=(None, None)):
        self.name, self.family = name, model.config.model_type
        self.model, self.tokenizer, self.image_processor = model, tokenizer, image_processor
        self.choices = choices
        self.device, self.dtype = choices["device"].value, choices["dtype"].value
        self.min_pixels, self.max_pixels = pixels
        text = model.config.get_text_config()
        self.n_layers, self.n_heads = text.num_hidden_layers, text.num_attention_heads
        self.n_positions = text.max_position_embeddings
        self.counts: Counter[str] = Counter()
        self.builder = PromptBuilder(tokenizer, self.image_token, self.wrap)
        self.image_token_id = model.config.image_token_id
        if self.builder.special.get(self.image_token) != self.image_token_id:
            raise ValueError(
                f"{name}: the tokenizer does not give {self.image_token} the config's id {self.image_token_id}; "
                "the files belong to different models."
            )
        self.defaults = self.family_settings.at_depth(self.family_depth, self.n_layers)
        ends = model.generation_config.eos_token_id
        self.end_ids = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}
        # Per part: a plain string would send the vision tower through the wrapper too.
        kind = choices["attention"].value
        vision = {"vision_config": "flash_attention_2"} if kind == "flash" else {}
        model.set_attn_implementation({"text_config": NAMES[kind]} | vision)
        patches_as_products(model)

    def __repr__(self) -> str:
        chosen = ", ".join(f"{key} {choice.value} ({choice.reason})" for key, choice in self.choices.items())
        return f"{type(self).__name__}({self.name}: {self.family}, {self.n_layers} layers, {chosen})"

    # --- what a family fills in -------------------------------------------------------------------------------------

    def _prepare(self, image: Image.Image) -> ProcessedImage:
        """Run the image processor on an RGB image."""
        raise NotImplementedError

    def n_image_tokens(self, image_size_wh: tuple[int, int]) -> int:
        """Tokens that a picture of this size in pixels takes, without processing it."""
        raise NotImplementedError

    def position_ids(self, ids: Int64[Tensor, " n"], pictures: Sequence[ProcessedImage]) -> Int64[Tensor, "axes n"]:
        """Rotary positions of a whole prompt."""
        return arange_positions(len(ids), self.position_axes)

    # --- prompts ----------------------------------------------------------------------------------------------------

    def prepare(self, image: Image.Image, max_pixels: int | None = None) -> ProcessedImage:
        """Process an image once; the picture can stand in any number of prompts.

        An image that is not RGB is read as `hide_utils.images.read_image` does. max_pixels: of this picture, where that
        is less than the model's own. Raises ValueError for a picture longer than the family's `max_aspect`.
        """
        width, height = image.size
        if self.max_aspect and max(width, height) > self.max_aspect * min(width, height):
            raise ValueError(
                f"a picture of {width}x{height} pixels is longer than {self.max_aspect:.0f} times its width, which "
                "this family's processor refuses; pad it with hide_utils.images.pad_to_aspect."
            )
        one = self if max_pixels is None else copy.copy(self)  # the model is shared, the limits are its own
        if max_pixels is not None:
            one.max_pixels = min(max_pixels, self.max_pixels or max_pixels)
        return one._prepare(image if image.mode == "RGB" else read_image(image))

    def prompt(self, *parts: str | Image.Image | ProcessedImage) -> Prompt:
        """One user turn in the model's chat template, generation prompt appended.

        Texts are pure text: a special token's name in them stays text. An image that stands in several prompts is best
        `prepare`d once. Raises ValueError without parts, for a text that is no Unicode and for a prompt longer than the
        model's positions; TypeError for a part that is neither text nor image.
        """
        if not parts:
            raise ValueError("a prompt needs at least one text or image.")
        for part in parts:
            if not isinstance(part, str | Image.Image | ProcessedImage):
                raise TypeError(f"a prompt is made of texts and images, not {type(part).__name__}; open files first.")
        ready = [self.prepare(part) if isinstance(part, Image.Image) else part for part in parts]
        numbers, images, texts = self.builder.build(ready)
        ids = torch.tensor(numbers)
        positions = self.position_ids(ids, [span.picture for span in images])
        if (taken := int(positions.max()) + 1) > self.n_positions:
            raise ValueError(
                f"the prompt takes {taken} positions, more than the {self.n_positions} that {self.name} was made for; "
                "shorten its texts, or give smaller pictures (max_pixels)."
            )
        return Prompt(ids, positions, images, texts)

    # --- running ----------------------------------------------------------------------------------------------------

    def _forward(self, ids: Tensor, positions: Tensor, cache=None, inputs=None, mask=None) -> Tensor:
        """One pass over ids (batch, n) at positions (axes, batch, n); logits (batch, vocab) of the last token."""
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

    def _run(self, prompt: Prompt, start: int, stop: int, cache=None) -> Tensor:
        """Run tokens [start, stop) of a prompt, encoding the images among them."""
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
        """Run the prompt's first `cut` tokens once (default: up to behind the first image).

        Raises ValueError when the cut is out of range, falls inside an image, or is missing for a prompt without one.
        """
        cut = prompt.cut if cut is None else cut
        if cut is None or not 0 < cut < len(prompt):
            raise ValueError(f"cut must lie within the prompt's {len(prompt)} tokens, not {cut}; name one.")
        cache = self._new_cache()
        self._run(prompt, 0, cut, cache)
        return Prefix(prompt.ids[:cut], cache)

    def _begin(self, prompt: Prompt, prefix: Prefix | None) -> int:
        if prefix is None:
            return 0
        if not prefix.fits(prompt):
            raise ValueError("the prompt does not begin with this prefix's tokens; prefill the prompt's own.")
        return len(prefix)

    @torch.inference_mode()
    def capture(
        self,
        prompt: Prompt,
        queries: Iterable[int],
        layers: Iterable[int],
        prefix: Prefix | None = None,
        early_exit: bool = True,
    ) -> Rows:
        """Attention of the tokens at absolute positions `queries` to every image, at `layers` (0-based).

        With a prefix only the rest of the prompt is run; queries must lie there. The model stops after the last wanted
        layer. Raises ValueError for a layer or query out of range, none of either, or a prompt without images.
        """
        queries, layers = list(queries), sorted(set(layers))
        began, start = time.perf_counter(), self._begin(prompt, prefix)
        if not layers or not all(0 <= layer < self.n_layers for layer in layers):
            raise ValueError(f"layers must be among 0 to {self.n_layers - 1} (counted from 0), not {layers}.")
        if not queries or not all(start <= query < len(prompt) for query in queries):
            raise ValueError(f"queries must be token positions from {start} to {len(prompt) - 1}, not {queries}.")
        if not prompt.images:
            raise ValueError("the prompt has no image whose attention could be captured.")
        with capturing(torch.tensor(queries) - start, layers, early_exit=early_exit) as captured:
            self._run(prompt, start, len(prompt), prefix.fork() if prefix else None)
        self.counts["flops"] += capture_flops(self.model.config, len(queries), layers, len(prompt), start, early_exit)
        home = captured.rows[layers[0]].device  # layers may lie on several devices; the host gets one tensor, once
        rows = torch.stack([captured.rows[layer].to(home) for layer in layers]).cpu()
        maps = [rows[..., span.positions].numpy() for span in prompt.images]
        return Rows(layers, queries, maps, time.perf_counter() - began)

    @torch.inference_mode()
    def generate(
        self, prompt: Prompt, max_new_tokens: int = 64, prefix: Prefix | None = None, stop: str | None = None
    ) -> Reply:
        """Decode greedily until an end token, `stop` in the text, or `max_new_tokens`.

        Plain argmax: a checkpoint's own sampling settings and repetition penalty do not apply. With a prefix only the
        rest of the prompt is run, its own images included; the tokens are those of the run without.
        Raises ValueError when the prompt does not begin with the prefix, or max_new_tokens < 1.
        """
        began, start = time.perf_counter(), self._begin(prompt, prefix)
        cache = prefix.fork() if prefix else self._new_cache()
        logits = self._run(prompt, start, len(prompt), cache)
        (ids,) = self._greedy(logits, prompt.position_ids[:, None, -1:], cache, max_new_tokens, stop)
        return self._reply(prompt, ids, logits[0], time.perf_counter() - began)

    @torch.inference_mode()
    def generate_batch(
        self,
        prompts: Sequence[Prompt],
        max_new_tokens: int = 64,
        stop: str | None = None,
        prefix: Prefix | None = None,
    ) -> list[Reply]:
        """`generate` for several prompts at once (decoding is bound by memory, so a batch costs little more).

        With a prefix, with which each has to begin, only the rest of each is run; images may stand in the prefix alone.
        Replies are those of one call each, up to rounding; `seconds` is each one's equal share. Raises ValueError for a
        prompt with an image to run or without the prefix, or max_new_tokens < 1.
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
        logits = self._forward(ids, torch.stack(positions, dim=1), cache, mask=mask)
        last = torch.stack([p.position_ids[:, -1:] for p in prompts], dim=1)
        found = self._greedy(logits, last, cache, max_new_tokens, stop, mask)
        share = (time.perf_counter() - began) / len(prompts)
        return [self._reply(*parts, share) for parts in zip(prompts, found, logits, strict=True)]

    def _greedy(self, logits, position, cache, max_new_tokens, stop=None, mask=None) -> list[list[int]]:
        """Most likely tokens until every row has ended; logits (batch, vocab) and position are the last token's."""
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

    def _reply(self, prompt: Prompt, ids: list[int], logits: Tensor, seconds: float) -> Reply:
        return Reply(self.decode(ids), ids, logits.float().cpu(), prompt.n_image_tokens, prompt.n_text_tokens, seconds)

    # --- replies ----------------------------------------------------------------------------------------------------

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids, special tokens left out."""
        return self.tokenizer.decode(ids, skip_special_tokens=True)

    def letter_logits(self, reply: Reply, n_options: int) -> dict[str, float]:
        """Logit of each option letter as the reply's first token: the better of "A" and " A".

        Raises ValueError when there are not 1 to 26 options, or a letter is not a single token.
        """
        if not 1 <= n_options <= 26:
            raise ValueError(f"letters stand for 1 to 26 options, not {n_options}.")
        letters = string.ascii_uppercase[:n_options]
        return {letter: max(reply.first_logits[list(self._letter_ids(letter))]).item() for letter in letters}

    def _letter_ids(self, letter: str) -> tuple[int, ...]:
        ids = tuple(ids[0] for text in (letter, " " + letter) if len(ids := self.builder.encode(text)) == 1)
        if not ids:
            raise ValueError(f"this tokenizer has no single token for the letter {letter!r}.")
        return ids
