"""Parts of a training picture: close-ups, random windows and cut-outs, with the things that stand wholly in them.

They come from the drawn scene alone, as in ordinary multi-resolution training. No map, box or compact image of HiDe is
involved, and nothing is moved together.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from hide_utils.scenes.questions import Thing

Window = tuple[int, int, int, int]
WHITE = (255, 255, 255)


def inside_of(things: list[Thing], window: Window) -> list[Thing]:
    """Things whose whole box lies in the window (pixel xyxy)."""
    x0, y0, x1, y1 = window
    return [
        t for t in things
        if x0 <= t.box_xyxy[0] and y0 <= t.box_xyxy[1] and t.box_xyxy[2] <= x1 and t.box_xyxy[3] <= y1
    ]  # fmt: skip


def grown(box: Window, by: np.ndarray, image: Image.Image) -> Window:
    """The box, larger by ``by`` pixels (left, top, right, bottom), cut off at the picture's edges."""
    left, top, right, bottom = (int(v) for v in by)
    x0, y0, x1, y1 = box
    return max(0, x0 - left), max(0, y0 - top), min(image.width, x1 + right), min(image.height, y1 + bottom)


def crop_of(
    rng: np.random.Generator, image: Image.Image, things: list[Thing], side: int
) -> tuple[Image.Image, list[Thing]]:
    """A random crop of ``side`` pixels, half of the time padded with white, and the things that lie wholly in it."""
    x, y = (int(v) for v in rng.integers(0, image.width - side + 1, 2))
    part = image.crop((x, y, x + side, y + side))
    if rng.random() < 0.5:
        left, top, right, bottom = (int(v) for v in rng.integers(0, side // 3, 4))
        padded = Image.new("RGB", (side + left + right, side + top + bottom), WHITE)
        padded.paste(part, (left, top))
        part = padded
    return part, inside_of(things, (x, y, x + side, y + side))


def _focus(rng: np.random.Generator, things: list[Thing]) -> Thing:
    """With probability 0.6 the scene's first thing, which is often the only one of its kind; otherwise any."""
    return things[0 if rng.random() < 0.6 else rng.integers(0, len(things))]


def close_up(
    rng: np.random.Generator, image: Image.Image, things: list[Thing], most: int = 28
) -> tuple[Image.Image, list[Thing]]:
    """One thing with up to ``most`` pixels around it, which the processor enlarges to its smallest budget of pixels."""
    window = grown(_focus(rng, things).box_xyxy, rng.integers(0, most + 1, 4), image)
    return image.crop(window), inside_of(things, window)


def cut_out(
    rng: np.random.Generator, image: Image.Image, things: list[Thing], side: int, most: int = 14
) -> tuple[Image.Image, list[Thing]]:
    """A random window in which everything but the surroundings of some things is white, cut to what is left.

    Order and distances stay as they were.

    Args:
        rng: of the window and of the things that are kept.
        image: the whole picture.
        things: in it; the window lies around one of them.
        side: largest side of the window, in pixels.
        most: pixels that are kept around a thing.

    Returns:
        The cut-out, and the things that it shows.
    """
    side = min(side, image.width)
    x, y = _focus(rng, things).centre
    x0, y0 = (int(np.clip(v - rng.uniform(0.1, 0.9) * side, 0, image.width - side)) for v in (x, y))
    near = inside_of(things, (x0, y0, x0 + side, y0 + side))
    if not near:
        return close_up(rng, image, things)
    kept = [near[i] for i in rng.permutation(len(near))[: int(rng.integers(1, len(near) + 1))]]
    canvas, windows = Image.new("RGB", image.size, WHITE), []
    for thing in kept:
        windows.append(grown(thing.box_xyxy, rng.integers(0, most + 1, 4), image))
        canvas.paste(image.crop(windows[-1]), windows[-1][:2])
    low, high = np.min(windows, axis=0)[:2], np.max(windows, axis=0)[2:]
    return canvas.crop((*low.tolist(), *high.tolist())), kept


def second_picture(
    rng: np.random.Generator, image: Image.Image, things: list[Thing]
) -> tuple[Image.Image, list[Thing]]:
    """A close-up, a cut-out or a random window of a picture of at least 128 pixels, and the things shown in it."""
    form = rng.random()
    if form < 0.2:
        return close_up(rng, image, things)
    if form < 0.75:
        return cut_out(rng, image, things, int(rng.integers(96, 449)))
    return crop_of(rng, image, things, int(rng.integers(64, min(image.width, 288) + 1)))


def degraded(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """The picture at its own size with 1/2 to 1/5 of its detail, so that a second one is needed."""
    side = max(24, round(image.width / rng.uniform(2, 5)))
    return image.resize((side, side), Image.Resampling.BOX).resize(image.size, Image.Resampling.BILINEAR)
