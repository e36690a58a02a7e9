"""HiDe, the released procedure and the direct answer as lists of forward passes, and what each ablation switch saves.

A procedure is what runs for one question: which tokens, behind which cache, with which pictures, through how many
layers. `flops` adds it up from a model's configuration. `hide_utils.evaluation.fullsize` counts the same passes with
torch's own counter on models without weights, and the tests compare them with a real run of `HiDe`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from hide_utils.models.flops import capture_flops, forward_flops, reply_flops


@dataclass(frozen=True)
class Visual:
    """A picture as the model takes it.

    Attributes:
        n_tokens: visual tokens that it becomes.
        inputs: the processor's tensors, on whose shapes its cost depends.
    """

    n_tokens: int
    inputs: Mapping[str, Tensor]


@dataclass(frozen=True)
class Work:
    """Tokens of one question. The defaults are a question as in V*Bench and our prompts under Qwen's own tokenizer.

    Attributes:
        image: the picture.
        compact: the compact image within its token budget.
        layer: whose attention is captured, counted from 0.
        compact_free: the compact image without a budget. None where there is no difference.
        around: template in front of the picture, and the picture's closing token.
        between: tokens around the compact image.
        search: text behind the picture in the search prompt, with its end.
        rows: tokens of that text whose attention is captured.
        question: text behind the pictures when answering, with its end.
        static: unchanging part of the extraction prompt.
        asked: question behind that part.
        listed: tokens of the extraction's reply.
        answered: decoding passes of the answer.
        batch: questions whose entities are listed together.
        cycles: answers to one localisation.
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
    """What is switched on, each as `SWITCHES` words it."""

    shared_prefill: bool = True
    early_exit: bool = True
    static_prompt: bool = True
    batched: bool = True
    compact_budget: bool = True
    last_head: bool = True
    shared_questions: bool = False

    def but(self, **changes: bool) -> AblationSwitches:
        """The same with some of the switches set anew."""
        return replace(self, **changes)


# How `HiDe` runs over a data set, and how the released code does. Its generation is transformers' own, which projects
# the last token alone.
OURS, RELEASED = AblationSwitches(), AblationSwitches(False, False, False, False, False, True, False)
GATE = "plain answer (a gate) on the same prefill"  # is no switch of its own
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
    """One forward pass, and the single tokens that are decoded after it.

    Attributes:
        step: what it belongs to.
        new: tokens that are run.
        past: cached tokens in front of them.
        visuals: pictures among the new tokens.
        rows: query tokens whose attention is captured.
        layer: where it is captured, counted from 0.
        early_exit: whether the pass ends there.
        heads: positions that go through the language-model head.
        decoded: single tokens that are run after it.
        share: the part of the pass that one question bears.
        weights_share: the part of its reading of the weights that one question bears.
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


def direct_answer(work: Work, switches: AblationSwitches = OURS) -> list[Pass]:
    """The direct answer: one pass over the whole prompt."""
    new = work.around + work.image.n_tokens + work.question
    return [Pass("answer", new, visuals=(work.image,), heads=_heads(new, switches), decoded=work.answered)]


def hide(work: Work, switches: AblationSwitches = OURS) -> list[Pass]:
    """Extraction, search and answer over original and compact image."""
    return [_extraction(work, switches), *_search(work, switches), _answer_pass(work, switches)]


def direct_besides(work: Work, switches: AblationSwitches = OURS) -> list[Pass]:
    """What a direct answer adds where HiDe runs anyway: a suffix on the shared prefill, else all of it."""
    whole = replace(direct_answer(work, switches)[0], step="direct")
    if not switches.shared_prefill:
        return [whole]
    return [Pass("direct", work.question, work.around + work.image.n_tokens, decoded=work.answered)]


def _heads(new: int, switches: AblationSwitches) -> int:
    return 1 if switches.last_head else new


def _extraction(work: Work, switches: AblationSwitches) -> Pass:
    past = work.static if switches.static_prompt else 0
    new = work.asked + work.static - past
    share = 1 / work.cycles if switches.shared_questions else 1.0
    reads = share / (work.batch if switches.batched else 1)
    heads = _heads(new, switches)
    return Pass("extract", new, past, heads=heads, decoded=work.listed, share=share, weights_share=reads)


def _search(work: Work, switches: AblationSwitches) -> list[Pass]:
    share = 1 / work.cycles if switches.shared_questions else 1.0
    common: dict[str, Any] = {
        "rows": work.rows,
        "layer": work.layer,
        "early_exit": switches.early_exit,
        "share": share,
        "weights_share": share,
    }
    first = work.around + work.image.n_tokens
    if not switches.shared_prefill:
        new = first + work.search
        return [Pass("search", new, visuals=(work.image,), heads=_heads(new, switches), **common)]
    prefill = Pass("prefill", first, 0, (work.image,), heads=_heads(first, switches), share=share, weights_share=share)
    return [prefill, Pass("search", work.search, first, heads=_heads(work.search, switches), **common)]


def _answer_pass(work: Work, switches: AblationSwitches) -> Pass:
    compact = work.compact if switches.compact_budget or work.compact_free is None else work.compact_free
    first = work.around + work.image.n_tokens
    new = work.between + compact.n_tokens + work.question
    visuals: tuple[Visual, ...] = (compact,)
    if not switches.shared_prefill:
        new, visuals, first = first + new, (work.image, compact), 0
    return Pass("answer", new, first, visuals, heads=_heads(new, switches), decoded=work.answered)


def pass_flops(config: Any, one: Pass) -> int:
    """FLOPs of a whole pass and the decoding after it, by the conventions of `hide_utils.models.flops`."""
    text, keys = config.get_text_config(), one.past + one.new
    flops = forward_flops(config, one.new, one.past)
    flops += sum(forward_flops(config, 0, 0, 0, visual.inputs) for visual in one.visuals)
    if one.rows:
        flops += capture_flops(config, one.rows, [one.layer], keys, one.past, one.early_exit)
    if not one.early_exit:
        flops += (one.heads - 1) * 2 * text.hidden_size * text.vocab_size
    return flops + reply_flops(config, 1, keys, one.decoded - 1) if one.decoded else flops


def masked_flops(config: Any, one: Pass) -> int:
    """The part of `pass_flops` that causal masking could save: half the square of the new tokens in each layer.

    Torch's counter takes attention as the whole rectangle of queries and keys. Fast kernels skip what is masked.
    """
    text = config.get_text_config()
    width = text.num_attention_heads * (getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)
    return 2 * one.new**2 * width * (one.layer if one.early_exit else text.num_hidden_layers)


def flops(config: Any, passes: Sequence[Pass], causal: bool = False) -> float:
    """FLOPs that one question bears.

    Args:
        config: the model's configuration.
        passes: what runs for the question.
        causal: leave out what masking saves, as `masked_flops` counts it.
    """
    saved = [masked_flops(config, one) if causal else 0 for one in passes]
    return sum((pass_flops(config, one) - less) * one.share for one, less in zip(passes, saved, strict=True))


def saved_by_switches(config: Any, work: Work) -> dict[str, float]:
    """FLOPs that each of `SWITCHES` saves in ours, and a direct answer besides that is a suffix of the same prefill.

    Returns:
        What is switched, in words -> FLOPs without it less those with it, in plain answers.
    """
    base = flops(config, direct_answer(work))
    pairs = {
        meaning: [hide(work, OURS.but(**{name: on})) for on in (False, True)] for name, meaning in SWITCHES.items()
    }
    pairs[GATE] = [hide(work) + direct_besides(work, OURS.but(shared_prefill=on)) for on in (False, True)]
    return {meaning: flops(config, off) / base - flops(config, on) / base for meaning, (off, on) in pairs.items()}
