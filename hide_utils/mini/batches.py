"""Batches of conversations: token ids with the weight of each, pictures of one size, and what each token of them shows.

A batch is drawn from its number alone, so that a run that goes on sees what an uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from transformers import PreTrainedTokenizerBase

from hide_utils.mini import lessons
from hide_utils.mini.checkpoint import CELL
from hide_utils.mini.curriculum import LARGE, Lesson
from hide_utils.mini.pictures import Shown, shown
from hide_utils.scenes.world import COLORS, NOUNS, Thing

USER, ASSISTANT, END = "<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>\n"
IMAGE_TOKEN = "<|image_pad|>"
LETTER_WEIGHT = 2.0  # of a reply that is a single letter; nothing else has it
TEXTS = 96  # conversations in a batch without pictures
Batch = dict[str, np.ndarray]
Row = tuple[list[int], list[float]]


@lru_cache(maxsize=200_000)
def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False).input_ids)


def conversation(tokenizer: PreTrainedTokenizerBase, grids: list[tuple[int, int]], turns: list[lessons.Turn]) -> Row:
    """Token ids of a conversation about pictures, and for each token the weight of predicting it.

    Args:
        tokenizer: of the miniature.
        grids: (h, w) in visual tokens of each picture. All pictures stand at the beginning of the first turn.
        turns: of the conversation.
    """
    ids: list[int] = []
    weights: list[float] = []

    def add(text: str, weight: float) -> None:
        part = _encode(tokenizer, text)
        ids.extend(part)
        weights.extend([weight] * len(part))

    for number, (pieces, reply) in enumerate(turns):
        add(USER, 0.0)
        for h, w in [] if number else grids:
            add("<|vision_start|>" + IMAGE_TOKEN * (h * w) + "<|vision_end|>", 0.0)
        for text, learn in pieces:
            add(text, 1.0 if learn else 0.0)
        add(END + ASSISTANT, 0.0)
        add(reply, LETTER_WEIGHT if len(reply) == 1 else 1.0)
        add("<|im_end|>", 0.2)
        add("\n", 0.0)
    return ids, weights


def dense_targets(things: list[Thing], side: int) -> np.ndarray:
    """What each visual token of a square picture covers, as int64 ``(h, w, 4)``: noun, color, column and row.

    A token belongs to the thing that it covers most of, or that covers most of it, from three tenths on. Elsewhere the
    noun and the color are the number of nouns and of colors.
    """
    n = side // CELL
    out = np.empty((n, n, 4), np.int64)
    out[..., 0], out[..., 1] = len(NOUNS), len(COLORS)
    places = ((np.arange(n) + 0.5) / n * lessons.BINS).astype(int)
    out[..., 2], out[..., 3] = places[None], places[:, None]
    best = np.full((n, n), 0.3)
    starts = np.arange(n) * CELL
    for thing in things:
        x0, y0, x1, y1 = thing.box_xyxy
        wide = np.clip(np.minimum(starts + CELL, x1) - np.maximum(starts, x0), 0, None)
        high = np.clip(np.minimum(starts + CELL, y1) - np.maximum(starts, y0), 0, None)
        cover = high[:, None] * wide[None] / min(CELL * CELL, (x1 - x0) * (y1 - y0))
        mine = cover > best
        best[mine] = cover[mine]
        out[mine, :2] = NOUNS.index(thing.noun), lessons.COLOR_NAMES.index(thing.color)
    return out


def _kinds(lesson: Lesson, scene: Shown) -> Mapping[str, float]:
    """Turn kind -> weight. With a second picture only those whose answers do not depend on a picture's frame."""
    if scene.asked is not None:
        framed = {k: v for k, v in lesson.turns.items() if k.startswith(("attribute", "relation"))}
        return framed or {"attribute": 1.0, "relation": 1.0}
    return (lesson.large_turns if scene.image.shape[0] > LARGE else None) or lesson.turns


def _turn(rng: np.random.Generator, lesson: Lesson, kind: str, scene: Shown) -> lessons.Turn | None:
    name, _, choice = kind.partition("_")
    things, side = scene.things, scene.image.shape[0]
    if name == "attribute":
        return lessons.attribute(rng, things, bool(choice), scene.asked)
    if name == "relation":
        return lessons.relation(rng, things, side, bool(choice), lesson.apart, scene.asked, lesson.natural)
    return {"caption": lessons.caption, "locate": lessons.locate, "search": lessons.search}[name](rng, things, side)


def turns_for(rng: np.random.Generator, lesson: Lesson, scene: Shown) -> list[lessons.Turn]:
    """Up to ``lesson.n_turns`` turns about a scene, and a caption where none was possible."""
    kinds = _kinds(lesson, scene)
    names, ends = list(kinds), np.cumsum(list(kinds.values())) / sum(kinds.values())
    turns: list[lessons.Turn] = []
    for _ in range(4 * lesson.n_turns):
        kind = names[min(int(np.searchsorted(ends, rng.random())), len(names) - 1)]
        turn = _turn(rng, lesson, kind, scene)
        turns += [turn] if turn else []
        if len(turns) == lesson.n_turns:
            break
    return turns or [lessons.caption(rng, scene.things, scene.image.shape[0])]


def padded(rows: list[Row], fill: int) -> Batch:
    """Rows of ids and weights as two arrays ``(rows, length)``, whose length is a multiple of 16."""
    length = -(-max(len(ids) for ids, _ in rows) // 16) * 16
    out_ids = np.full((len(rows), length), fill, np.int32)
    out_weights = np.zeros((len(rows), length), np.float32)
    for row, (ids, weights) in enumerate(rows):
        out_ids[row, : len(ids)], out_weights[row, : len(weights)] = ids, weights
    return {"ids": out_ids, "weights": out_weights}


def draw_batch(
    rng: np.random.Generator, lesson: Lesson, tokenizer: PreTrainedTokenizerBase, scale: float = 1.0
) -> Batch:
    """Draw one batch of a lesson.

    Args:
        rng: of the batch.
        lesson: to draw from.
        tokenizer: of the miniature.
        scale: factor on the number of conversations, which is at least 2.

    Returns:
        Arrays by name. ``ids`` and ``weights`` are absent where only visual tokens learn. ``image`` (uint8) and
        ``dense`` are absent from text alone. ``second`` (uint8) is there where a second picture is.
    """
    fill = tokenizer.pad_token_id
    if rng.random() < lesson.extraction:
        turns = [lessons.extraction(rng) for _ in range(max(2, int(TEXTS * scale)))]
        return padded([conversation(tokenizer, [], [turn]) for turn in turns], fill)
    two = bool(rng.random() < lesson.two)
    sides, shares, counts = zip(*(two and lesson.pair_sizes) or lesson.sizes, strict=True)
    pick = min(int(np.searchsorted(np.cumsum(shares) / sum(shares), rng.random())), len(sides) - 1)
    side, grid = sides[pick], _second_grid(rng) if two else None
    grids = [(side // CELL, side // CELL), *([grid] if grid else [])]
    scenes: list[Shown] = []
    rows: list[Row] = []
    for _ in range(max(2, int(counts[pick] * scale))):
        scenes.append(shown(rng, lesson, side, grid))
        if lesson.turns:
            rows.append(conversation(tokenizer, grids, turns_for(rng, lesson, scenes[-1])))
    out = {
        "image": np.stack([scene.image for scene in scenes]),
        "dense": np.stack([dense_targets(scene.things, side) for scene in scenes]),
    }
    seconds = [scene.second for scene in scenes if scene.second is not None]
    out |= {"second": np.stack(seconds)} if seconds else {}
    return out | (padded(rows, fill) if rows else {})


def _second_grid(rng: np.random.Generator) -> tuple[int, int]:
    """Rows and columns of visual tokens; at least 36 of them, since the processor enlarges smaller pictures."""
    h, w = (int(v) for v in rng.integers(4, 15, 2))
    return (h, w) if h * w >= 36 else (6, 6)
