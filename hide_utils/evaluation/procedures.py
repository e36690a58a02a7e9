"""The method, direct_answer answering and the released procedure as lists of forward passes, and what each lever saves.

A procedure is what runs for one question: which tokens, behind which cache, with which pictures, through how many
layers. `flops` adds it up from a model's configuration; `hide_utils.evaluation.fullsize` counts the same passes with torch's own
counter on models without weights, and the tests compare them with a real run of `HiDe`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from torch import Tensor

from hide_utils.models.flops import capture_flops, forward_flops, reply_flops


@dataclass(frozen=True)
class Visual:
    """A picture as the model takes it: its tokens, and the processor's tensors that its cost depends on."""

    n_tokens: int
    inputs: Mapping[str, Tensor]


@dataclass(frozen=True)
class Work:
    """Tokens of one question. Defaults: a question in V*Bench's manner and our prompts under Qwen's own tokenizer.

    image, compact: the picture, and the compact image within its budget; compact_free: the compact image without one.
    around: template in front of the picture and its closing token; between: tokens around the compact image. search:
    text behind the picture in the search prompt, with its end; rows: those of it whose attention is captured.
    layer: the one that is captured, counted from 0. question: text behind the pictures when answering, with its end.
    static, asked, listed: extraction prompt's unchanging part, question behind it, tokens of the reply. answered:
    decoding passes of the answer. batch: questions that are extracted together; cycles: answers to one localisation.
    """

    image: Visual
    compact: Visual
    layer: int
    compact_free: Visual | None = None
    around: int = 16
    between: int = 2
    search: int = 22
    rows: int = 17
    question: int = 55
    static: int = 156
    asked: int = 16
    listed: int = 30
    answered: int = 1
    batch: int = 32
    cycles: int = 4


@dataclass(frozen=True)
class AblationSwitches:
    """What is switched on; all on is how `HiDe` runs over a data set, all off the released procedure."""

    shared_prefill: bool = True
    early_exit: bool = True
    static_prompt: bool = True
    batched: bool = True
    compact_budget: bool = True
    last_head: bool = True
    shared_questions: bool = False

    def but(self, **changes: bool) -> AblationSwitches:
        """The same with some of them switched."""
        return replace(self, **changes)


# Generation in transformers projects the last token alone, so the released code has that lever too.
OURS, RELEASED = AblationSwitches(), AblationSwitches(False, False, False, False, False, True, False)
SWITCHES = {
    "shared_prefill": "one image prefill, forked",
    "early_exit": "search ends at the captured layer",
    "static_prompt": "extraction prompt's static part cached",
    "batched": "extraction batched over the data set",
    "compact_budget": "compact image within a token budget",
    "last_head": "head on the last token only",
    "shared_questions": "four questions on one localisation",
}


@dataclass(frozen=True)
class Pass:
    """One forward pass of `new` tokens behind `past`, and `decoded` single tokens after it.

    step: what it belongs to. visuals: pictures among the new tokens. rows: query tokens whose attention is captured at
    `layer`, where the pass ends if `early_exit`. heads: positions that go through the language-model head. share: the
    part of it that one question bears; weights_share: the part of its reading of the weights.
    """

    step: str
    new: int
    past: int = 0
    visuals: tuple[Visual, ...] = ()
    rows: int = 0
    layer: int = 0
    early_exit: bool = False
    heads: int = 1
    decoded: int = 0
    share: float = 1.0
    weights_share: float = 1.0


def direct_answer(work: Work, levers: AblationSwitches = OURS) -> list[Pass]:
    """Answering once, directly, in one pass over the whole prompt."""
    new = work.around + work.image.n_tokens + work.question
    return [Pass("answer", new, visuals=(work.image,), heads=_heads(new, levers), decoded=work.answered)]


def hide(work: Work, levers: AblationSwitches = OURS) -> list[Pass]:
    """Extraction, search and answer over original and compact image."""
    return [_extraction(work, levers), *_search(work, levers), _answer(work, levers)]


def direct_besides(work: Work, levers: AblationSwitches = OURS) -> list[Pass]:
    """What a direct answer costs when HiDe runs anyway (for a gate): a suffix on the shared prefill, else all of it."""
    whole = replace(direct_answer(work, levers)[0], step="direct")
    if not levers.shared_prefill:
        return [whole]
    return [Pass("direct", work.question, work.around + work.image.n_tokens, decoded=work.answered)]


def _heads(new: int, levers: AblationSwitches) -> int:
    return 1 if levers.last_head else new


def _extraction(work: Work, levers: AblationSwitches) -> Pass:
    past = work.static if levers.static_prompt else 0
    new = work.asked + work.static - past
    share = 1 / work.cycles if levers.shared_questions else 1.0
    reads = share / (work.batch if levers.batched else 1)
    heads = _heads(new, levers)
    return Pass("extract", new, past, heads=heads, decoded=work.listed, share=share, weights_share=reads)


def _search(work: Work, levers: AblationSwitches) -> list[Pass]:
    share = 1 / work.cycles if levers.shared_questions else 1.0
    common: dict[str, Any] = {"rows": work.rows, "layer": work.layer, "early_exit": levers.early_exit}
    common |= {"share": share, "weights_share": share}
    first = work.around + work.image.n_tokens
    if not levers.shared_prefill:
        new = first + work.search
        return [Pass("search", new, visuals=(work.image,), heads=_heads(new, levers), **common)]
    prefill = Pass("prefill", first, 0, (work.image,), heads=_heads(first, levers), share=share, weights_share=share)
    return [prefill, Pass("search", work.search, first, heads=_heads(work.search, levers), **common)]


def _answer(work: Work, levers: AblationSwitches) -> Pass:
    compact = work.compact if levers.compact_budget or work.compact_free is None else work.compact_free
    first = work.around + work.image.n_tokens
    new = work.between + compact.n_tokens + work.question
    visuals: tuple[Visual, ...] = (compact,)
    if not levers.shared_prefill:
        new, visuals, first = first + new, (work.image, compact), 0
    return Pass("answer", new, first, visuals, heads=_heads(new, levers), decoded=work.answered)


def pass_flops(config: Any, one: Pass) -> int:
    """FLOPs of a pass and the decoding after it, whoever bears them; conventions of `hide_utils.models.flops`."""
    text, keys = config.get_text_config(), one.past + one.new
    flops = forward_flops(config, one.new, one.past)
    flops += sum(forward_flops(config, 0, 0, 0, visual.inputs) for visual in one.visuals)
    if one.rows:
        flops += capture_flops(config, one.rows, [one.layer], keys, one.past, one.early_exit)
    if not one.early_exit:
        flops += (one.heads - 1) * 2 * text.hidden_size * text.vocab_size
    return flops + reply_flops(config, 1, keys, one.decoded - 1) if one.decoded else flops


def masked_flops(config: Any, one: Pass) -> int:
    """The part of `pass_flops` that causal masking could save: half the square of a pass's new tokens, in its layers.

    Torch's counter takes attention as the whole rectangle of queries and keys; fast kernels skip what is masked.
    """
    text = config.get_text_config()
    width = text.num_attention_heads * (getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)
    return 2 * one.new**2 * width * (one.layer if one.early_exit else text.num_hidden_layers)


def flops(config: Any, passes: Sequence[Pass], causal: bool = False) -> float:
    """FLOPs that one question bears; `causal`: without what masking saves (see `masked_flops`)."""
    saved = [masked_flops(config, one) if causal else 0 for one in passes]
    return sum((pass_flops(config, one) - less) * one.share for one, less in zip(passes, saved, strict=True))


def weight_reads(passes: Iterable[Pass]) -> float:
    """How often one question has the whole language model's weights read: what decoding is bound by."""
    return sum((1 + one.decoded) * one.weights_share for one in passes)


def ablation_table(config: Any, work: Work) -> pd.DataFrame:
    """Each lever alone, switched on in the released procedure and off in ours.

    Columns lever, meaning, and without and with it: released_* and ours_*, FLOPs over a direct_answer answer's, and reads_*,
    how often ours has all weights read a question. The last row adds a direct answer to each.
    """
    base = flops(config, direct_answer(work))
    rows = []
    for name, meaning in SWITCHES.items():
        row: dict[str, str | float] = {"lever": name, "meaning": meaning}
        for start, levers in (("released", RELEASED), ("ours", OURS)):
            for state, on in (("without", False), ("with", True)):
                passes = hide(work, levers.but(**{name: on}))
                row[f"{start}_{state}"] = flops(config, passes) / base
                if start == "ours":
                    row[f"reads_{state}"] = weight_reads(passes)
        rows.append(row)
    beside: dict[str, str | float] = {"lever": "direct_besides"}
    beside["meaning"] = "direct answer too (a gate), on the same prefill"
    for start, levers in (("released", RELEASED), ("ours", OURS)):
        for state, shared in (("without", False), ("with", True)):
            passes = hide(work, levers) + direct_besides(work, levers.but(shared_prefill=shared))
            beside[f"{start}_{state}"] = flops(config, passes) / base
            beside[f"reads_{state}"] = weight_reads(passes)
    return pd.DataFrame([*rows, beside])
