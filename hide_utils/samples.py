"""A benchmark's question with its picture, as every loader gives it and every method takes it."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

from PIL import Image, ImageDraw

from hide_utils.prompts import as_text, option_texts

Box = tuple[float, float, float, float]  # x0, y0, x1, y1, half-open
NO_MATHEMATICS = "tex2jax_ignore mathjax_ignore"  # HTML classes within which Jupyter leaves dollars as they are


def side_by_side(boxes_of_each: Sequence[Sequence[Sequence[float]]], widths: Sequence[int]) -> list[tuple]:
    """Boxes in pixels of several pictures as boxes of these pictures standing side by side, from left to right.

    Args:
        boxes_of_each: xyxy of each picture.
        widths: of the pictures, in pixels.
    """
    shifts = [sum(widths[:number]) for number in range(len(widths))]
    pairs = zip(boxes_of_each, shifts, strict=True)
    return [(x0 + shift, y0, x1 + shift, y1) for boxes, shift in pairs for x0, y0, x1, y1 in boxes]


@dataclass
class Sample:
    """A multiple-choice question about one picture, or about several.

    Attributes:
        id: unique within its benchmark. Results are keyed by it.
        question: text without the options.
        options: option texts without their letters, at least two.
        label: letter of the right option, ``"A"`` for ``options[0]``.
        kind: ``"direct_attributes"`` or ``"relative_position"``, which are V*Bench's names, or the benchmark's own
            category.
        render: returns the picture as RGB. It is called at every access of ``image``, so that a list of samples stays
            small in memory.
        boxes_xyxy: ground-truth boxes in pixels of their picture, half-open; empty where the benchmark has none.
        entities: reference entities of the question; empty where the benchmark has none.
        image_id: the same for all samples that share a picture, which the bootstrap draws together. Without one, the
            picture counts as the sample's own.
        style: wording of the prompt, a name in `hide_utils.prompts.STYLES`.
        cycle: which rotation of a question's options this is, for HR-Bench; empty where there are none.
        boxes_cut: number of true boxes that reached over the picture's edge and were cut to it.
        things: every named thing of a drawn scene, with noun, color and box_xyxy, those asked about first; None where
            that is not known.
        more: return the pictures behind the first, in the order of the prompt; empty for a question about one.
        box_images: number of the picture that each of the true boxes lies in, counted from 0. Empty: all in the first.

    Raises:
        ValueError: for options that are no texts or fewer than two, for half a character in a name, for a label that is
            none of the options' letters, and for boxes of pictures that are not there.
    """

    id: str
    question: str
    options: list[str]
    label: str
    kind: str
    render: Callable[[], Image.Image] = field(repr=False)
    boxes_xyxy: list[Box] = field(default_factory=list)
    entities: list[str] = field(default_factory=list)
    image_id: str = ""
    style: str = "letters"
    cycle: str = ""
    boxes_cut: int = 0
    things: list[Any] | None = field(default=None, repr=False)
    more: list[Callable[[], Image.Image]] = field(default_factory=list, repr=False)
    box_images: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.options = option_texts(self.options)
        as_text(f"{self.id}{self.kind}{self.image_id}")  # which are stored, and half a character cannot be
        letters = list(ascii_uppercase[: len(self.options)])
        if len(letters) < 2:
            raise ValueError(f"sample {self.id}: {len(letters)} option(s); a multiple-choice question has at least two")
        if self.label not in letters:
            raise ValueError(f"sample {self.id}: label {self.label!r} is none of its option letters {letters}")
        if self.box_images and len(self.box_images) != len(self.boxes_xyxy):
            raise ValueError(f"sample {self.id}: {len(self.box_images)} box_images for {len(self.boxes_xyxy)} boxes")
        if strange := [number for number in self.box_images if not 0 <= number <= len(self.more)]:
            raise ValueError(
                f"sample {self.id}: box_images has {strange[0]}; its pictures are 0 to {len(self.more)}, counted from 0"
            )
        self.image_id = self.image_id or self.id

    @property
    def image(self) -> Image.Image:
        """The picture as RGB, drawn or read anew at each access; of several the first."""
        return self.render()

    @property
    def renders(self) -> list[Callable[[], Image.Image]]:
        """What returns each picture, in the order of the prompt."""
        return [self.render, *self.more]

    @property
    def images(self) -> list[Image.Image]:
        """All pictures as RGB in the order of the prompt, drawn or read anew at each access; mostly one."""
        return [render() for render in self.renders]

    @property
    def boxes_of_each(self) -> list[list[Box]]:
        """The true boxes of each picture, in its own pixels."""
        of = self.box_images or [0] * len(self.boxes_xyxy)
        pairs = list(zip(of, self.boxes_xyxy, strict=True))
        return [[box for number, box in pairs if number == one] for one in range(1 + len(self.more))]

    @property
    def sheet(self) -> tuple[Image.Image, list[Box]]:
        """The picture and its true boxes; of several pictures one of all side by side, with its boxes."""
        if not self.more:
            return self.image, self.boxes_xyxy
        images = self.images
        widths = [image.width for image in images]
        whole = Image.new("RGB", (sum(widths), max(image.height for image in images)), "white")
        for number, image in enumerate(images):
            whole.paste(image, (sum(widths[:number]), 0))
        return whole, side_by_side(self.boxes_of_each, widths)

    @property
    def answer(self) -> str:
        """Text of the right option."""
        return self.options[ord(self.label) - ord("A")]

    def __str__(self) -> str:
        right = ord(self.label) - ord("A")
        lines = [f"{chr(ord('A') + i)}. {o}{'  (right)' if i == right else ''}" for i, o in enumerate(self.options)]
        known = f", {len(self.boxes_xyxy)} true boxes" if self.boxes_xyxy else ""
        return "\n  ".join([f"{self.id} ({self.kind}{known})\n{self.question}", *lines])

    def _thumbnail(self, side: int = 320) -> str:
        """The picture with its true boxes as an HTML image, `side` pixels long, or the reason why it cannot be read."""
        try:
            picture, boxes = self.sheet
            picture = picture.convert("RGB")
        except (OSError, ValueError) as error:
            return f"<p>no picture: {html.escape(str(error))}</p>"
        scale = min(side / max(picture.size), 1)
        picture.thumbnail((side, side))
        draw, stream = ImageDraw.Draw(picture), io.BytesIO()
        for box in boxes:
            draw.rectangle([v * scale for v in box], outline=(2, 158, 115), width=2)
        picture.save(stream, format="JPEG", quality=85)
        data = base64.b64encode(stream.getvalue()).decode()
        return f'<img alt="picture with its true boxes" src="data:image/jpeg;base64,{data}">'

    def _repr_html_(self) -> str:
        escaped = [html.escape(option) for option in self.options]
        right = ord(self.label) - ord("A")
        rows = "".join(f"<li>{f'<b>{text}</b>' if i == right else text}</li>" for i, text in enumerate(escaped))
        asked = f"<p><code>{html.escape(self.id)}</code> · {html.escape(self.kind)}<br>{html.escape(self.question)}</p>"
        return f'<div class="{NO_MATHEMATICS}">{asked}<ol type="A">{rows}</ol>{self._thumbnail()}</div>'
