"""A prompt as token ids, with every picture and every user text located in it."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Int64, UInt8
from tokenizers import AddedToken, Tokenizer
from torch import Tensor

_SENTINEL = "\ue000{}\ue001"  # private-use characters, which no chat template contains


@dataclass(frozen=True)
class ProcessedImage:
    """One image in the size that the model takes, before it has a place in a prompt.

    Attributes:
        pixels: (tiles, height, width, 3) bytes after the resize, on the CPU. `VLM.inputs_of` makes the model's of them.
        layout: (h, w) index of each grid cell's token in the image's sequence of tokens.
        n_tokens: visual tokens that the image becomes.
        image_size_wh: width and height in pixels of the image handed in.
        sequence: ids of all tokens that the image becomes, markers between tiles or rows included. None: its visual
            tokens are one run without markers.
    """

    pixels: UInt8[Tensor, "tiles height width 3"]
    layout: Int64[Tensor, "h w"]
    n_tokens: int
    image_size_wh: tuple[int, int]
    sequence: Int64[Tensor, " length"] | None = None

    @property
    def length(self) -> int:
        """Tokens of a prompt that the image takes, markers included."""
        return self.n_tokens if self.sequence is None else len(self.sequence)

    def same_as(self, other: ProcessedImage) -> bool:
        """Whether the model would see the same picture. Plain ones can have the same tiles in another arrangement."""
        return torch.equal(self.pixels, other.pixels) and torch.equal(self.layout, other.layout)


@dataclass(frozen=True)
class ImageSpan:
    """A picture at tokens [start, stop) of a prompt.

    Attributes:
        picture: what stands there.
        start: position of its first token, which may be a marker.
        closed: whether the template closes it with a special token directly behind it.
    """

    picture: ProcessedImage
    start: int
    closed: bool = False

    @property
    def stop(self) -> int:
        """The position behind its last token."""
        return self.start + self.picture.length

    @property
    def positions(self) -> Int64[Tensor, "h w"]:
        """Positions in the prompt of the grid's tokens. Markers and a thumbnail's tokens are not on the grid."""
        return self.picture.layout + self.start

    @property
    def grid_hw(self) -> tuple[int, int]:
        """Rows and columns of the picture's grid."""
        height, width = self.picture.layout.shape
        return height, width

    @property
    def image_size_wh(self) -> tuple[int, int]:
        """Width and height in pixels of the picture handed in."""
        return self.picture.image_size_wh


@dataclass(frozen=True)
class TextSpan:
    """A user text at tokens [start, stop) of a prompt.

    Attributes:
        text: the text.
        start: position of its first token.
        stop: position behind its last token.
        offsets: for each of its tokens the characters [a, b) of the text that it stands for.
    """

    text: str
    start: int
    stop: int
    offsets: list[tuple[int, int]]

    def positions(self, char_start: int, char_stop: int) -> list[int]:
        """Positions in the prompt of the tokens most of whose characters lie in [char_start, char_stop) of the text.

        White space at a token's edges does not count, so " truck" belongs to "truck".
        """
        found = []
        for position, (a, b) in enumerate(self.offsets, self.start):
            token = self.text[a:b]
            if token.strip():
                a, b = a + len(token) - len(token.lstrip()), b - len(token) + len(token.rstrip())
            if 2 * (min(b, char_stop) - max(a, char_start)) > b - a:
                found.append(position)
        return found

    def of(self, whole: str) -> TextSpan:
        """The span as that of a text of which the template has dropped the white space at both ends."""
        dropped = whole.index(self.text)
        return TextSpan(whole, self.start, self.stop, [(a + dropped, b + dropped) for a, b in self.offsets])

    def characters(self, position: int) -> str:
        """What the token at a position of the prompt stands for; of a token within a character, the whole character."""
        start, stop = self.offsets[position - self.start]
        return self.text[start:stop]


@dataclass(frozen=True)
class Prompt:
    """Token ids with the places of pictures and texts among them.

    Attributes:
        ids: of all tokens.
        position_ids: rotary positions, (1, n) or, for time, row and column, (3, n).
        images: pictures in their order.
        texts: user texts in their order.
    """

    ids: Int64[Tensor, " n"]
    position_ids: Int64[Tensor, "axes n"]
    images: list[ImageSpan]
    texts: list[TextSpan]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def cut(self) -> int | None:
        """Tokens of the beginning that prompts can share: up to behind the first image and what closes it.

        Text behind an image can merge with what follows it and is therefore never shared. None without an image.
        """
        return self.images[0].stop + self.images[0].closed if self.images else None

    @property
    def n_image_tokens(self) -> int:
        """Visual tokens of all its images."""
        return sum(span.picture.n_tokens for span in self.images)

    @property
    def n_text_tokens(self) -> int:
        """All other tokens, the template's and images' markers included."""
        return len(self) - self.n_image_tokens

    def images_in(self, start: int, stop: int) -> list[ImageSpan]:
        """Images whose tokens lie in [start, stop).

        Raises:
            ValueError: an edge falls inside an image.
        """
        for span in self.images:
            if any(span.start < edge < span.stop for edge in (start, stop)):
                raise ValueError(f"cut inside an image (tokens {span.start} to {span.stop}); cut before or behind it.")
        return [span for span in self.images if start <= span.start and span.stop <= stop]


@dataclass
class PromptBuilder:
    """Makes token ids by a model's chat template and tokenizer. User text can never become a special token.

    The template is rendered once for each pattern of parts, with sentinels in place of the texts. It is cut at its own
    special tokens. What lies between them is encoded, user text included, by a tokenizer that knows no special tokens.
    Tokens therefore merge across the seam of template and text just as in the stock route.

    Attributes:
        tokenizer: the model's own.
        image_token: the token that stands for a piece of a picture.
        wrap: what the family puts around an image when its template does not: special tokens, text, or both.
        placeholder: what stands for a whole image in the template. None: `image_token`.
        template: options of the chat template.
        trims: whether the template drops white space at the ends of a text, as Gemma's.
        special: special tokens and their ids.
        text_tokenizer: the tokenizer without special tokens.
    """

    tokenizer: Any
    image_token: str
    wrap: tuple[str, str] | None = None
    placeholder: str | None = None
    template: dict[str, Any] = field(default_factory=dict)
    trims: bool = field(init=False, default=False)
    special: dict[str, int] = field(init=False)
    text_tokenizer: Tokenizer = field(init=False)

    def __post_init__(self) -> None:
        backend = self.tokenizer.backend_tokenizer
        self.text_tokenizer = Tokenizer(backend.model)
        # Runs of white space are text. Gemma's tokenizer lists them among its added tokens.
        self.special = {token: i for token, i in self.tokenizer.get_added_vocab().items() if token.strip()}
        white = [token for token in self.tokenizer.get_added_vocab() if not token.strip()]
        self.text_tokenizer.add_tokens([AddedToken(token, normalized=False) for token in white])
        for part in ("normalizer", "pre_tokenizer"):
            if getattr(backend, part) is not None:
                setattr(self.text_tokenizer, part, getattr(backend, part))
        self.pieces = functools.cache(self._pieces)

    def _pieces(self, kinds: tuple[str, ...]) -> list[str]:
        texts = iter(range(len(kinds)))
        content = [
            {"type": "image"} if kind == "image" else {"type": "text", "text": f" {_SENTINEL.format(next(texts))} "}
            for kind in kinds
        ]
        message = [{"role": "user", "content": content}]
        options = {"tokenize": False, "add_generation_prompt": True, **self.template}
        rendered = self.tokenizer.apply_chat_template(message, **options)
        placeholder, (before, after) = self.placeholder or self.image_token, self.wrap or ("", "")
        rendered = rendered.replace(placeholder, before + self.image_token + after)
        if "text" in kinds:
            self.trims = " \ue000" not in rendered
        rendered = rendered.replace(" \ue000", "\ue000").replace("\ue001 ", "\ue001")
        tokens = sorted(self.special, key=len, reverse=True)
        pieces = [p for p in re.split("(" + "|".join(map(re.escape, tokens)) + "|\ue000\\d+\ue001)", rendered) if p]
        found = (pieces.count(self.image_token), sum(p.startswith("\ue000") for p in pieces))
        if found != (kinds.count("image"), kinds.count("text")):
            raise ValueError(
                f"the chat template rendered {found[0]} images and {found[1]} texts of {kinds}; "
                f"it must place {placeholder!r} once per image and every text once."
            )
        return pieces

    def encode(self, text: str) -> list[int]:
        """Ids of a text in which nothing is a special token."""
        return self.text_tokenizer.encode(text, add_special_tokens=False).ids

    def build(self, parts: Sequence[str | ProcessedImage]) -> tuple[list[int], list[ImageSpan], list[TextSpan]]:
        """Ids of one user turn with the generation prompt, and where its images and texts are.

        Raises:
            ValueError: a text is no Unicode, or the chat template does not place every part once.
        """
        pictures = [part for part in parts if isinstance(part, ProcessedImage)]
        user_texts = [part for part in parts if isinstance(part, str)]
        if odd := re.search("[\ud800-\udfff]", "".join(user_texts)):
            raise ValueError(
                f"a text holds half a character ({odd[0]!r}): it was cut or read wrongly; read it as UTF-8."
            )
        ids: list[int] = []
        images: list[ImageSpan] = []
        texts: dict[int, TextSpan] = {}
        # Strings between two special tokens, each with the number of its user text; None marks the template's own.
        run: list[tuple[str, int | None]] = []
        pieces = self.pieces(tuple("image" if isinstance(part, ProcessedImage) else "text" for part in parts))
        for piece, following in zip([*pieces, None], [*pieces[1:], None, None], strict=True):
            if piece is not None and piece not in self.special:
                number = int(piece[1:-1]) if piece.startswith("\ue000") else None
                shown = piece if number is None else user_texts[number].strip() if self.trims else user_texts[number]
                run.append((shown, number))
                continue
            texts |= self._flush(run, ids)
            run = []
            if piece == self.image_token:
                picture = pictures[len(images)]
                closed = following in self.special and following != self.image_token
                images.append(ImageSpan(picture, len(ids), closed))
                alike = [self.special[piece]] * picture.n_tokens
                ids += alike if picture.sequence is None else picture.sequence.tolist()
            elif piece is not None:
                ids.append(self.special[piece])
        return ids, images, [texts[number].of(user_texts[number]) for number in sorted(texts)]

    def _flush(self, run: list[tuple[str, int | None]], ids: list[int]) -> dict[int, TextSpan]:
        """Encode strings between two special tokens onto `ids`, and give the spans of the user texts among them.

        A token on a seam belongs to the text that has most of its characters.
        """
        encoding = self.text_tokenizer.encode("".join(text for text, _ in run), add_special_tokens=False)
        spans, stop = {}, 0
        for text, number in run:
            start, stop = stop, stop + len(text)
            if number is None:
                continue
            mine = [i for i, (a, b) in enumerate(encoding.offsets) if 2 * (min(b, stop) - max(a, start)) > b - a]
            first = mine[0] if mine else sum(b <= start for _, b in encoding.offsets)
            last = mine[-1] + 1 if mine else first
            offsets = [(max(a - start, 0), min(b - start, len(text))) for a, b in encoding.offsets[first:last]]
            spans[number] = TextSpan(text, len(ids) + first, len(ids) + last, offsets)
        ids += encoding.ids
        return spans


def arange_positions(n: int, axes: int) -> Int64[Tensor, "axes n"]:
    """Rotary positions of `n` tokens of plain text: 0, 1, 2, … on every axis."""
    return torch.arange(n).expand(axes, n)
