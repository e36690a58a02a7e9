"""A benchmark's question with its picture, as every loader gives it and every method takes it."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

from PIL import Image, ImageDraw

from hide_utils.prompts import as_text, option_texts

Box = tuple[float, float, float, float]  # x0, y0, x1, y1, half-open
NO_MATHEMATICS = "tex2jax_ignore mathjax_ignore"  # HTML classes within which Jupyter leaves dollars as they are


@dataclass
class Sample:
    """A multiple-choice question about one picture.

    Attributes:
        id: unique within its benchmark. Results are keyed by it.
        question: text without the options.
        options: option texts without their letters, at least two.
        label: letter of the right option, ``"A"`` for ``options[0]``.
        kind: ``"direct_attributes"`` or ``"relative_position"``, which are V*Bench's names, or the benchmark's own
            category.
        render: returns the picture as RGB. It is called at every access of ``image``, so that a list of samples stays
            small in memory.
        boxes_xyxy: ground-truth boxes in pixels, half-open; empty where the benchmark has none.
        entities: reference entities of the question; empty where the benchmark has none.
        image_id: the same for all samples that share a picture, which the bootstrap draws together. Without one, the
            picture counts as the sample's own.
        style: wording of the prompt, a name in `hide_utils.prompts.STYLES`.
        cycle: which rotation of a question's options this is, for HR-Bench; empty where there are none.
        boxes_cut: number of true boxes that reached over the picture's edge and were cut to it.
        things: every named thing of a drawn scene, with noun, color and box_xyxy, those asked about first; None where
            that is not known.

    Raises:
        ValueError: for options that are no texts or fewer than two, for half a character in a name, and for a label
            that is none of the options' letters.
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

    def __post_init__(self) -> None:
        self.options = option_texts(self.options)
        as_text(f"{self.id}{self.kind}{self.image_id}")  # which are stored, and half a character cannot be
        letters = list(ascii_uppercase[: len(self.options)])
        if len(letters) < 2:
            raise ValueError(f"sample {self.id}: {len(letters)} option(s); a multiple-choice question has at least two")
        if self.label not in letters:
            raise ValueError(f"sample {self.id}: label {self.label!r} is none of its option letters {letters}")
        self.image_id = self.image_id or self.id

    @property
    def image(self) -> Image.Image:
        """The picture as RGB, drawn or read anew at each access."""
        return self.render()

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
            picture = self.image.convert("RGB")
        except (OSError, ValueError) as error:
            return f"<p>no picture: {html.escape(str(error))}</p>"
        scale = min(side / max(picture.size), 1)
        picture.thumbnail((side, side))
        draw, stream = ImageDraw.Draw(picture), io.BytesIO()
        for box in self.boxes_xyxy:
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
