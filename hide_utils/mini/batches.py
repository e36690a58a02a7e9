"""Draws the scenes and turns of a stage, and makes a padded batch of tensors of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from transformers import PreTrainedTokenizerFast, Qwen2VLImageProcessorPil

from hide_utils.mini import crops, lessons
from hide_utils.mini.checkpoint import MAX_PIXELS, MERGE, MIN_PIXELS, PATCH
from hide_utils.scenes.questions import COLORS, SHAPES, Thing

CELL = PATCH * MERGE
USER, ASSISTANT, END = "<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>\n"
PROCESSOR = Qwen2VLImageProcessorPil(
    patch_size=PATCH,
    merge_size=MERGE,
    image_mean=[0.5] * 3,
    image_std=[0.5] * 3,
    size={"shortest_edge": MIN_PIXELS, "longest_edge": MAX_PIXELS},
)


@dataclass(frozen=True)
class Stage:
    """One stage of the curriculum.

    Attributes:
        name: of the stage.
        steps: of the optimiser, in the whole schedule.
        lr: peak learning rate.
        batch: scenes a step.
        sizes: (side in pixels, share, divisor of the batch) of the pictures. Larger ones come in smaller batches.
        object_size: smallest and largest side of an object, in pixels.
        density: most things for each 128 x 128 pixels.
        turns: turn kind -> weight.
        n_turns: turns a picture.
        two_pictures: share of batches with a second picture.
        vision_lr: factor on the vision tower's learning rate.
        apart: smallest distance of a relation, as a share of the picture.
        extraction: share of steps that are text-only extraction lessons.
        natural: share of the choices between left and right, above and below, that keep this order. Where all options
            are shuffled, neither the side nor the order alone says anything about the letter, and the pair is never
            learned.
        pair_sizes: as ``sizes``, for first pictures that a second one follows. Without any, they are ``sizes``.
        zoomed: whether second pictures are close-ups, cut-outs and windows instead of plain random crops. Half of the
            first ones then lack detail, so that the second is needed. A fifth of the single pictures are such parts.
        accumulate: draws whose gradients make one step.
        stop: step of the schedule at which the stage ends; 0 runs it through.
    """

    name: str
    steps: int
    lr: float
    turns: dict[str, float] = field(default_factory=dict)
    batch: int = 16
    sizes: tuple[tuple[int, float, int], ...] = ((192, 0.5, 1), (256, 0.5, 1))
    object_size: tuple[int, int] = (26, 52)
    density: float = 2.5
    n_turns: int = 4
    two_pictures: float = 0.0
    vision_lr: float = 0.3
    apart: float = 0.3
    extraction: float = 0.0
    stop: int = 0
    natural: float = 0.0
    pair_sizes: tuple[tuple[int, float, int], ...] = ()
    zoomed: bool = False
    accumulate: int = 1


@lru_cache(maxsize=200_000)
def _encode(tokenizer, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False).input_ids)


def _vision_text(grid_thw) -> str:
    return "<|vision_start|>" + "<|image_pad|>" * (int(np.prod(grid_thw)) // MERGE**2) + "<|vision_end|>"


def conversation(
    tokenizer: PreTrainedTokenizerFast, grids: list[np.ndarray], turns: list[lessons.Turn]
) -> tuple[list[int], list[float]]:
    """Token ids of a conversation about pictures, and for each token the weight of predicting it.

    Args:
        tokenizer: of the miniature.
        grids: (t, h, w) in patches of each picture. All pictures stand at the beginning of the first turn.
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
        if number == 0:
            for grid in grids:
                add(_vision_text(grid), 0.0)
        for text, learn in pieces:
            add(text, 1.0 if learn else 0.0)
        add(END, 0.0)
        add(ASSISTANT, 0.0)
        add(reply, 1.0)
        add("<|im_end|>", 0.3)
        add("\n", 0.0)
    return ids, weights


def _turn(rng, stage: Stage, kind: str, things, side: int, asked) -> lessons.Turn | None:
    if kind == "caption":
        return lessons.caption(rng, things, side)
    if kind == "locate":
        return lessons.locate(rng, things, side)
    if kind == "search":
        return lessons.search(rng, things, side)
    name, _, choice = kind.partition("_")
    if name == "attribute":
        return lessons.attribute(rng, things, side, bool(choice), asked)
    return lessons.relation(rng, things, side, bool(choice), stage.apart, asked, stage.natural)


def _turns(rng, stage: Stage, things, side: int, inside) -> list[lessons.Turn]:
    """At most ``stage.n_turns`` turns. With a second picture, their answers do not depend on a picture's frame."""
    if not stage.turns:
        return []
    kinds = list(stage.turns) if inside is None else [k for k in stage.turns if k.startswith(("attribute", "relation"))]
    weights = np.array([stage.turns[k] for k in kinds])
    turns = []
    for _ in range(4 * stage.n_turns):
        asked = inside if inside is not None and (stage.zoomed or rng.random() < 0.85) else None
        turn = _turn(rng, stage, str(rng.choice(kinds, p=weights / weights.sum())), things, side, asked)
        if turn is not None:
            turns.append(turn)
        if len(turns) == stage.n_turns:
            break
    return turns


def _pictures(rng, stage: Stage, side: int, two: bool, overview: bool):
    """The pictures of one sample, and what may be asked about them.

    Returns:
        The pictures; the things that may be asked about; those that a second picture shows, or None without one; the
        side in pixels that distances of relations are a share of.
    """
    most = max(3, round(stage.density * (side / 128) ** 2))
    n_things = int(rng.integers(2, (min(most, 24) if stage.zoomed else most) + 1))
    if stage.zoomed and two:  # many things, so that the second picture shows several
        n_things = max(n_things, most // 2)
    if stage.turns.get("relation", 0) >= 0.5:  # the relation lesson of its own: few, unmistakable objects
        n_things = int(rng.integers(2, 4))
    image, things = lessons.random_scene(rng, side, min(n_things, 24), stage.object_size)
    if stage.zoomed and (two or rng.random() < 0.2):
        part, inside = crops.second_picture(rng, image, things)
        first = crops.degraded(rng, image) if rng.random() < 0.5 else image
        return [first, part] if two else [part], things if two else inside, inside, max(part.size)
    if not two:
        return [image], things, None, side
    part, inside = crops.crop_of(rng, image, things, int(rng.integers(48, side // 2 + CELL + 1)))
    if overview:  # a small overview and a crop at full detail, as in multi-resolution training
        image = image.resize((side // 2, side // 2), Image.Resampling.BOX)
    return [image, part], things, inside, side


def _item(rng, stage: Stage, tokenizer, side: int, two: bool, overview: bool):
    for _ in range(20):
        pictures, things, inside, scale = _pictures(rng, stage, side, two, overview)
        turns = _turns(rng, stage, things, scale, inside)
        if turns or not stage.zoomed:
            break
    turns = turns or [lessons.caption(rng, things, side)]
    processed = PROCESSOR(images=pictures, return_tensors="np")
    ids, weights = conversation(tokenizer, list(processed["image_grid_thw"]), turns)
    return ids, weights, processed["pixel_values"], processed["image_grid_thw"], things


def _pad(rows: list[list], fill) -> np.ndarray:
    out = np.full((len(rows), max(map(len, rows))), fill)
    for row, values in zip(out, rows, strict=True):
        row[: len(values)] = values
    return out


def dense_targets(things: list[Thing], side: int) -> np.ndarray:
    """What each visual token of a picture of ``side`` pixels covers.

    Returns:
        int64 array (tokens, 4) of color, shape, column and row. Color and shape are places in `COLORS` and `SHAPES`, or
        their length where the token covers no object.
    """
    n = side // CELL
    centre = (np.arange(n) + 0.5) / n * lessons.BINS
    out = np.empty((n, n, 4), dtype=np.int64)
    out[..., 0], out[..., 1] = len(COLORS), len(SHAPES)
    out[..., 2], out[..., 3] = centre.astype(int)[None, :], centre.astype(int)[:, None]
    cells = np.arange(n) * CELL
    best = np.zeros((n, n))
    for t in things:
        left, top, right, bottom = t.box_xyxy
        wide = np.clip(np.minimum(cells + CELL, right) - np.maximum(cells, left), 0, None)
        high = np.clip(np.minimum(cells + CELL, bottom) - np.maximum(cells, top), 0, None)
        cover = high[:, None] * wide[None, :] / min(CELL**2, (right - left) * (bottom - top))
        mine = cover > np.maximum(best, 0.35)
        best[mine] = cover[mine]
        out[mine, 0], out[mine, 1] = list(COLORS).index(t.color), SHAPES.index(t.shape)
    return out.reshape(-1, 4)


class Lessons:
    """Batches of a stage, which depend on seed, stage, step and rank alone, so that a rerun draws the same ones.

    Args:
        stage: of the curriculum.
        tokenizer: of the miniature.
        seed: of the training.
        number: of the stage, which picks its random stream.
        rank, ranks: number of this process, and of all.
    """

    def __init__(
        self,
        stage: Stage,
        tokenizer: PreTrainedTokenizerFast,
        seed: int,
        number: int,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.stage, self.tokenizer, self.seed, self.number = stage, tokenizer, seed, number
        self.rank, self.ranks = rank, ranks

    def draw(self, step: int) -> dict[str, torch.Tensor]:
        """This process's part of the batch of one step. All processes draw pictures of the same size."""
        common = np.random.default_rng([self.seed, self.number, step])
        rng = np.random.default_rng([self.seed, self.number, step, 1 + self.rank])
        stage = self.stage
        if common.random() < stage.extraction:
            pairs = [conversation(self.tokenizer, [], [lessons.extraction(rng)]) for _ in range(24 // self.ranks)]
            return self._text([p[0] for p in pairs], [p[1] for p in pairs])
        pick, two = common.random(), bool(common.random() < stage.two_pictures)
        sides, shares, divisors = zip(*((two and stage.pair_sizes) or stage.sizes), strict=True)
        chosen = int(np.searchsorted(np.cumsum(shares) / sum(shares), pick, side="right"))
        side, n = sides[chosen], max(1, stage.batch // divisors[chosen] // self.ranks)
        overview = bool(common.random() < 0.4) and side >= 256
        items = [_item(rng, stage, self.tokenizer, side, two, overview) for _ in range(n)]
        batch = self._text([i[0] for i in items], [i[1] for i in items])
        batch["pixel_values"] = torch.from_numpy(np.concatenate([i[2] for i in items]))
        batch["image_grid_thw"] = torch.from_numpy(np.concatenate([i[3] for i in items]))
        if not stage.turns:
            batch["dense"] = torch.from_numpy(np.concatenate([dense_targets(i[4], side) for i in items]))
        return batch

    def _text(self, ids: list[list[int]], weights: list[list[float]]) -> dict[str, torch.Tensor]:
        padded = _pad(ids, self.tokenizer.pad_token_id)
        lengths = np.array([len(i) for i in ids])
        image_id = self.tokenizer.convert_tokens_to_ids("<|image_pad|>")
        return {
            "input_ids": torch.from_numpy(padded),
            "attention_mask": torch.from_numpy((np.arange(padded.shape[1])[None] < lengths[:, None]).astype(np.int64)),
            "mm_token_type_ids": torch.from_numpy((padded == image_id).astype(np.int64)),
            "weights": torch.from_numpy(_pad(weights, 0.0).astype(np.float32)),
        }
