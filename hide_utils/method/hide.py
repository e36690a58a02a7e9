"""HiDe, whole: entities -> attention rows -> purified maps -> regions -> compact image -> answer, over one prefill."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
from PIL import Image

from hide_utils import scoring
from hide_utils.images import ImageError, composite_on_white, read_image
from hide_utils.method import lpd, tad
from hide_utils.method.entities import Entities, Extractor, given_entities
from hide_utils.method.result import Looked, Result
from hide_utils.method.rows import SearchAttention
from hide_utils.method.session import HIDE_STEPS, Session
from hide_utils.method.shared import Found, Localisation
from hide_utils.models import VLM, Cost, Reply, Settings, load_model
from hide_utils.prompts import Prompts, option_texts

Picture = str | PathLike | bytes | Image.Image

NUMERICS = 1  # counts up when the same attention gives other maps, boxes, regions or compact images


class HiDe:
    """The method with its settings fixed: call it with a picture, or several, and a question.

    Args:
        model: from `load_model`, or what that takes: "mini", a folder, a hub id.
        layer: decoder layer whose attention is read, counted from 0. None: the model's calibrated or published one.
        sigma: standard deviation of the Gaussian in grid cells, >= 0. None: as above.
        alpha: threshold on purified maps, in (0, 1]. None: as above.
        reuse_prefix: False runs every prompt as a full pass of its own, with the same outputs at the released code's
            cost. So it is where the model's prompts cannot share their beginning.
        protocol: how a letter is read off a reply, a name in `hide_utils.scoring.PROTOCOLS`.
        max_megapixels: larger pictures are refused before they are decoded.
        compact_pixels: most pixels of the compact image as the model sees it, >= 1. None: the model's own limit.
        prompts: what the model is told to do, or some of it by name, or a file with that (`Prompts.of`). None: what the
            model's folder says, else the usual words.

    Raises:
        ValueError: a setting out of range, or a prompt that cannot be used.
    """

    def __init__(
        self,
        model: VLM | str | PathLike,
        layer: int | None = None,
        sigma: float | None = None,
        alpha: float | None = None,
        *,
        reuse_prefix: bool = True,
        protocol: str = "strict",
        max_megapixels: float = 100,
        compact_pixels: int | None = None,
        prompts: Prompts | Mapping[str, Any] | str | PathLike | None = None,
    ) -> None:
        model = model if isinstance(model, VLM) else load_model(model)
        default = model.defaults
        self.model, self.reuse_prefix = model, reuse_prefix
        self.protocol, self.max_megapixels, self.compact_pixels = protocol, max_megapixels, compact_pixels
        self.settings = Settings(
            default.layer if layer is None else layer,
            default.sigma if sigma is None else float(sigma),
            default.alpha if alpha is None else float(alpha),
            default.source if layer is sigma is alpha is None else "given",
        )
        self._check_settings()
        self.reuse_prefix &= model.shares_prefix
        self.prompts = model.prompts if prompts is None else Prompts.of(prompts)
        self.extractor = Extractor(model, reuse_prefix=reuse_prefix, prompts=self.prompts)

    def _check_settings(self) -> None:
        layer, sigma, alpha = self.settings.layer, self.settings.sigma, self.settings.alpha
        if isinstance(layer, bool) or not 0 <= layer < self.model.n_layers:
            raise ValueError(
                f"layer {layer} is not among 0 to {self.model.n_layers - 1} (counted from 0), "
                f"which {self.model.name} has"
            )
        self.model.check_layers([layer])
        if not (np.isfinite(sigma) and sigma >= 0):
            raise ValueError(f"sigma {sigma} must be a number of grid cells >= 0")
        if not 0 < alpha <= 1:
            raise ValueError(f"alpha {alpha} must lie in (0, 1]: it is a threshold on maps scaled to [0, 1]")
        if self.compact_pixels is not None and self.compact_pixels < 1:
            raise ValueError(
                f"compact_pixels {self.compact_pixels} must be at least 1, or None for the model's own limit"
            )
        if self.protocol not in scoring.PROTOCOLS:
            raise ValueError(f"unknown protocol {self.protocol!r}; known: {', '.join(scoring.PROTOCOLS)}")

    def __repr__(self) -> str:
        s = self.settings
        layer = f"layer {s.layer} of 0 to {self.model.n_layers - 1}"
        passes = "" if self.reuse_prefix else "; every prompt a full pass"
        return f"HiDe({self.model.name}: {layer}, sigma {s.sigma:g}, alpha {s.alpha:g}; {s.source}{passes})"

    def __call__(
        self,
        image: Picture | Sequence[Any],
        question: str,
        options: Iterable[Any] | None = None,
        entities: list[str] | str | None = None,
        *,
        compare: bool = True,
        style: str = "letters",
    ) -> Result:
        """Answer a question about a picture or several.

        Args:
            image: a path or a PIL picture, of any mode and orientation. Boxes of the result are pixels of it as read.
                A list of them is several, in the order of the prompt.
            question: the question's text. The names of special tokens in it stay text.
            options: texts of the options, without letters, as `option_texts` reads them. None asks for a free answer.
            entities: what to look for. None has the model list it.
            compare: also answer directly, on the same prefill, for the result's picture. It costs a few text tokens.
            style: wording of the prompt, a name in `hide_utils.prompts.STYLES`.

        Raises:
            ImageError, FileNotFoundError: a picture cannot be used.
            ValueError: the question is empty, there is no picture or a single option, or attention is not finite.
        """
        session = self.open(image)
        result = self.run(session, question, options, entities, style)
        if compare:
            self.compare(session, result, style)
        return result

    def compare(self, session: Session, result: Result, style: str = "letters") -> None:
        """Put the direct answer to the same pictures into a result of `run`."""
        if not any(one.compact_image for one in result.looked):  # then the method itself has answered directly
            result.direct_answer, result.direct_letter = result.answer, result.letter
        else:
            reply = session.answer(result.question, result.options, step="direct", style=style)
            result.direct_answer = reply.text
            result.direct_letter = read_letter(self.model, reply, result.options, self.protocol)
            result.timings["direct"] = session.seconds["direct"]

    def open(self, image: Picture | Sequence[Any]) -> Session:
        """A session for a picture, or for several in their order. Its prefill is run when the first prompt needs it.

        Raises:
            ImageError, FileNotFoundError: a picture cannot be used. Of several, the message has its number.
            ValueError: the list is empty, or holds something else than pictures.
        """
        given = list(image) if isinstance(image, Sequence) and not isinstance(image, str | bytes) else [image]
        if not given:
            raise ValueError("no picture: the list is empty; give at least one")
        pictures = []
        for number, one in enumerate(given, 1):
            where = f"picture {number} of {len(given)}: " if len(given) > 1 else ""
            if not isinstance(one, Picture):
                raise ValueError(f"{where}want a path or a PIL picture, not {type(one).__name__}: {one!r:.80}")
            try:
                pictures.append(read_image(one, max_megapixels=self.max_megapixels))
            except (ImageError, FileNotFoundError) as error:
                raise type(error)(f"{where}{error}") from error
        return Session(self.model, pictures, self.reuse_prefix, True, self.compact_pixels, self.prompts)

    def run(
        self,
        session: Session,
        question: str,
        options: Iterable[Any] | None = None,
        entities: Entities | list[str] | str | None = None,
        style: str = "letters",
    ) -> Result:
        """The method on opened pictures. The other arguments are those of a call."""
        question = checked_question(question)
        texts = None if options is None else option_texts(options)
        self.prompts.for_answer(question, texts, style)  # refuses a single option before anything is run
        located = self.locate(session, question, entities)
        with session.timed("compact"):
            looked = [
                Looked(image, *one, lpd.compact_image(image, one.regions) if one.regions else None)
                for image, one in zip(session.images, located.found, strict=True)
            ]
        second = [composite_on_white(one.compact_image) for one in looked if one.compact_image is not None]
        reply = session.answer(question, texts, second, style=style)
        original = "the original picture" if len(looked) == 1 else "the original pictures"
        no_box = None if second else f"no box survived: answered from {original} alone"
        notes = (note for image in session.images for note in self.model.notes(image, located.entities.text))
        _, counts = session.cost(HIDE_STEPS)
        return Result(
            question=question,
            options=texts,
            answer=reply.text,
            letter=read_letter(self.model, reply, texts, self.protocol),
            entities=located.entities,
            **vars(looked[0]),
            others=tuple(looked[1:]),
            timings={step: session.seconds[step] for step in HIDE_STEPS if step in session.seconds},
            counts=counts,
            fallback="; ".join(filter(None, [located.entities.fallback, no_box])) or None,
            notes=(*dict.fromkeys(notes), *self.settings.notes),
            settings=self.settings,
            model_name=self.model.name,
        )

    def locate(
        self,
        session: Session,
        question: str,
        entities: Entities | list[str] | str | None = None,
        settings: Settings | None = None,
        heads: bool = False,
        of_heads: Sequence[tuple[int, int]] = (),
    ) -> Localisation:
        """Entities, purified maps and merged regions for a question.

        A session keeps what was located, so every method that asks for the same gets it without another pass, and is
        charged for it in full.

        Args:
            session: the pictures, from `open`.
            question: the question's text.
            entities: what to look for. None has the model list it.
            settings: layer, sigma and alpha of this localisation. None: the method's own.
            heads: keep the rows' heads apart as well, as `Session.searches` does. That is a search of its own.
            of_heads: layer and head of each, counted from 0, whose mean is read. Without any, all heads of the layer.

        Raises:
            ValueError: no entity is left after cleaning, or attention is not finite.
        """
        at = settings or self.settings

        def run(alone: Session) -> Localisation:
            sought = self._entities(alone, question, entities)
            rows = alone.searches(sought, {layer for layer, _ in of_heads} or {at.layer}, heads or bool(of_heads))
            rows = [one.of_heads(of_heads) for one in rows] if of_heads else rows
            with alone.timed("decouple"):
                found = [_found(one, at, image) for one, image in zip(_each_to_one(rows), alone.images, strict=True)]
            return Localisation(sought, found)

        key = question, at, repr((entities, heads)), *of_heads  # as text, "None" would be no entity at all
        return session.located(key, run)

    def _entities(self, session: Session, question: str, entities: Entities | list[str] | str | None) -> Entities:
        if isinstance(entities, Entities):
            return entities
        if entities is not None:
            return given_entities(entities)
        if question not in session.entities:
            session.entities[question] = self.extractor.extract(question)
        listed = session.entities[question]
        session.costs["extract"] = Cost(listed.seconds, listed.counts)
        return listed.entities


def _each_to_one(rows: Sequence[SearchAttention]) -> list[SearchAttention]:
    """Of the rows at one layer to each picture, those of the tokens that belong to it (paper, section on TAD)."""
    if len(rows) == 1:
        return list(rows)
    owners = tad.assign_images([one.semantic[0] for one in rows])
    return [one.of_tokens(owners == number) for number, one in enumerate(rows)]


def _found(rows: SearchAttention, at: Settings, image: Image.Image) -> Found:
    maps = rows.maps(rows.layers[-1], at.sigma)  # rows of one layer, or the mean of heads
    return Found(rows, maps, lpd.regions_of(maps, at.alpha, image.size))


def checked_question(question: str) -> str:
    """The question without surrounding white space.

    Raises:
        ValueError: nothing is left of it.
    """
    if not isinstance(question, str) or not question.strip():
        raise ValueError("the question is empty: ask something about the picture")
    return question.strip()


def read_letter(model: VLM, reply: Reply, options: list[str] | None, protocol: str) -> str | None:
    """Option letter of a reply.

    Args:
        model: the model that replied.
        reply: what it replied.
        options: texts of the options, without letters.
        protocol: a name in `hide_utils.scoring.PROTOCOLS`. "logits" takes the most likely letter and reads no text.

    Returns:
        The letter. None without options, and where the reply states none.
    """
    if not options:
        return None
    if protocol == "logits":
        return scoring.letter_from_logits(model.letter_logits(reply, len(options)))
    return scoring.parse_letter(reply.text, options, protocol)
