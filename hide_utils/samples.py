"""A benchmark's question with its picture, as every loader gives it and every method takes it."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

from PIL import Image, ImageDraw

from hide_utils.prompts import as_text, option_texts

Box = tuple[float, float, float, float]  # x0, y0, x1, y1, half-open
# Name of a scorer -> when it takes a reply to a question without options for right. Thoughts and mark-up do not count,
# nor does what stands before "the answer is". `hide_utils.scoring.texts` reads replies by them.
SCORERS: Mapping[str, str] = {
    "exact": "the reply is one of the accepted answers, character by character",
    "normalised": "the same words, whatever their capitals and punctuation, and without articles before them",
    "contains": "an accepted answer stands in the reply as whole words, and is not denied, supposed or asked there",
    "number": "the one number that the reply states, in digits or words, is an accepted one within the tolerance",
}
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
    """A question about one picture, or about several: with lettered options, or with accepted answers in free text.

    Attributes:
        id: unique within its benchmark. Results are keyed by it.
        question: text without the options.
        options: option texts without their letters, at least two; empty for a question in free text.
        label: letter of the right option, ``"A"`` for ``options[0]``; empty without options.
        kind: ``"direct_attributes"`` or ``"relative_position"``, which are V*Bench's names, or the benchmark's own
            category.
        render: returns the picture as RGB. It is called at every access of ``image``, so that a list of samples stays
            small in memory.
        boxes_xyxy: ground-truth boxes in pixels of their picture, half-open; empty where the benchmark has none.
        entities: reference entities of the question; empty where the benchmark has none.
        image_id: the same for all samples that share a picture, which the bootstrap draws together. Without one, the
            picture counts as the sample's own.
        style: wording of the prompt, a name in `hide_utils.prompts.STYLES`, or in `FREE_STYLES` without options.
        cycle: which rotation of a question's options this is, for HR-Bench; empty where there are none.
        boxes_cut: number of true boxes that reached over the picture's edge and were cut to it.
        things: every named thing of a drawn scene, with noun, color and box_xyxy, those asked about first; None where
            that is not known.
        more: return the pictures behind the first, in the order of the prompt; empty for a question about one.
        box_images: number of the picture that each of the true boxes lies in, counted from 0. Empty: all in the first.
        answers: accepted answers of a question without options, at least one; empty with options. Texts; numbers
            become such.
        scorer: how a reply without options is scored: a name in `SCORERS`, or a function ``(reply, sample) -> bool``.
        tolerance: farthest that the reply's number may lie from an accepted one, for the scorer "number".

    Raises:
        ValueError: for options or answers that are no texts, for a single option, for neither options nor answers or
            both, for half a character in a name, for a label that is none of the options' letters, for an unknown
            scorer, for a tolerance that means nothing, and for boxes of pictures that are not there.
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
    answers: list[Any] = field(default_factory=list)
    scorer: str | Callable[[str, Any], bool] = "normalised"
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        self.options = [] if self.options is None else option_texts(self.options)
        as_text(f"{self.id}{self.kind}{self.image_id}")  # which are stored, and half a character cannot be
        if self.options:
            self._check_letters()
        else:
            self._check_answers()
        if self.box_images and len(self.box_images) != len(self.boxes_xyxy):
            raise ValueError(f"sample {self.id}: {len(self.box_images)} box_images for {len(self.boxes_xyxy)} boxes")
        if strange := [number for number in self.box_images if not 0 <= number <= len(self.more)]:
            raise ValueError(
                f"sample {self.id}: box_images has {strange[0]}; its pictures are 0 to {len(self.more)}, counted from 0"
            )
        self.image_id = self.image_id or self.id

    def _check_letters(self) -> None:
        letters = list(ascii_uppercase[: len(self.options)])
        if len(letters) < 2:
            raise ValueError(f"sample {self.id}: {len(letters)} option(s); a multiple-choice question has at least two")
        if self.label not in letters:
            raise ValueError(f"sample {self.id}: label {self.label!r} is none of its option letters {letters}")
        if self.answers or self.scorer != "normalised" or self.tolerance:
            raise ValueError(
                f"sample {self.id}: it has options, whose letters a protocol reads: leave out answers, scorer and "
                "tolerance, or leave out options and label"
            )

    def _check_answers(self) -> None:
        try:
            self.answers = [_as_answer(answer) for answer in _listed(self.answers)]
        except ValueError as error:
            raise ValueError(f"sample {self.id}, answers: {error}") from error
        if not self.answers or "" in self.answers:
            gap = f"answer {self.answers.index('') + 1} is empty or NaN" if self.answers else "no options, no answers"
            raise ValueError(f"sample {self.id}: {gap}; give options with a label, or the accepted answers as texts")
        if self.label:
            raise ValueError(f"sample {self.id}: label {self.label!r}, but no options: list them, or leave it out")
        if not callable(self.scorer) and self.scorer not in SCORERS:
            raise ValueError(
                f"sample {self.id}: unknown scorer {self.scorer!r}; known: {', '.join(SCORERS)}, or a function "
                "(reply, sample) -> bool"
            )
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise ValueError(f"sample {self.id}: tolerance {self.tolerance} must be a number >= 0")
        if self.tolerance and self.scorer in SCORERS and self.scorer != "number":
            raise ValueError(f"sample {self.id}: a tolerance is for scorer 'number', not {self.scorer!r}: leave it out")
        self.label = ""

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
        """Text of the right option, or without options the first accepted answer."""
        return self.options[ord(self.label) - ord("A")] if self.options else self.answers[0]

    @property
    def scored_by(self) -> str:
        """Name of the scorer, with its tolerance where it has one; of a function of the user's own its name."""
        if not isinstance(self.scorer, str):
            return getattr(self.scorer, "__qualname__", type(self.scorer).__name__)
        return f"{self.scorer}, within {self.tolerance:g}" if self.tolerance else self.scorer

    def said(self, letter: Any, reply: Any) -> str:
        """A reply in few words: its letter or "no letter", and without options the reply itself."""
        given = letter if self.options else reply
        return given.strip() or "no reply" if isinstance(given, str) else "no letter" if self.options else "no reply"

    @property
    def truth(self) -> list[str]:
        """What is right, a line each: every option, or every accepted answer; the right ones are marked."""
        if not self.options:
            return [f"{answer}  (accepted: {self.scored_by})" for answer in self.answers]
        lettered = zip(ascii_uppercase, self.options, strict=False)
        return [f"{letter}. {text}{'  (right)' if letter == self.label else ''}" for letter, text in lettered]

    def __str__(self) -> str:
        known = f", {len(self.boxes_xyxy)} true boxes" if self.boxes_xyxy else ""
        return "\n  ".join([f"{self.id} ({self.kind}{known})\n{self.question}", *self.truth])

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
        right = ord(self.label) - ord("A") if self.options else None
        escaped = [html.escape(text) for text in self.options or self.answers]
        rows = "".join(f"<li>{f'<b>{text}</b>' if i == right else text}</li>" for i, text in enumerate(escaped))
        accepted = f"accepted ({html.escape(self.scored_by)}):<ul>{rows}</ul>"
        listed = f'<ol type="A">{rows}</ol>' if self.options else accepted
        asked = f"<p><code>{html.escape(self.id)}</code> · {html.escape(self.kind)}<br>{html.escape(self.question)}</p>"
        return f'<div class="{NO_MATHEMATICS}">{asked}{listed}{self._thumbnail()}</div>'


def _listed(answers: Any) -> list[Any]:
    """Accepted answers as a list: one text or number alone, a list, an array; none for a gap."""
    answers = answers.tolist() if hasattr(answers, "tolist") else answers
    return list(answers) if isinstance(answers, list | tuple) else [answers]


def _as_answer(value: Any) -> str:
    if isinstance(value, bool):
        raise ValueError(f"{value} is no text: write what the reply should say, 'yes' or 'no' perhaps")
    return as_text(value)
