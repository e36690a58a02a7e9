"""What the method returns: every stage's output, a picture of them, and a folder to keep."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from hide_utils.files import replace_file, write_json
from hide_utils.method.entities import Entities
from hide_utils.method.rows import SearchAttention
from hide_utils.models import Settings
from hide_utils.prompts import quoted

RECORDED = (  # fields that `Result.save` writes to result.json as they are
    *("question", "options", "answer", "letter", "direct_answer", "direct_letter", "tokens", "boxes"),
    *("timings", "counts", "fallback", "notes", "model_name"),
)


@dataclass
class Looked:
    """One of the pictures that a question is about, and what was found in it.

    Attributes:
        image: the picture as read, RGB and upright.
        rows: raw attention rows at the layer of the settings, those of the entities' tokens that belong to it.
        maps: `(tokens, h, w)` purified maps of these tokens in [0, 1].
        boxes: merged regions, half-open xyxy in pixels of the picture.
        compact_image: RGBA. None where no box survived in this picture.
        tokens: texts of the entities' tokens.
        raw_maps: `(tokens, h, w)` attention of these tokens, mean over heads: `maps` before they were purified.
        noise_rows: `(noise, h, w)` attention of the instruction's tokens, which the noise prior is made of.
    """

    image: Image.Image
    rows: SearchAttention
    maps: Float[np.ndarray, "tokens h w"]
    boxes: list[tuple[int, int, int, int]]
    compact_image: Image.Image | None

    tokens = property(lambda self: self.rows.tokens)
    raw_maps = property(lambda self: self.rows.semantic[0])
    noise_rows = property(lambda self: self.rows.noise[0])


@dataclass
class Result(Looked):
    """One answer of HiDe with everything that led to it.

    Of several pictures, what a `Looked` has is that of the first; `looked` has all.

    Attributes:
        question: as asked.
        options: as asked. None for a free answer.
        answer: the reply's text.
        letter: the option letter read off the reply. None where it states none.
        entities: what was searched for, and where that came from.
        rows, tokens, raw_maps, noise_rows: as in `Looked`.
        maps: `(tokens, h, w)` purified maps in [0, 1]. A token with nothing above the noise prior is all zero.
        boxes: merged regions, half-open xyxy in pixels of `image`, sorted.
        compact_image: RGBA, transparent where nothing was pasted. None where no box survived.
        image: the picture as read, RGB and upright.
        timings: seconds of each stage.
        counts: forward passes, tokens run and decoded, and FLOPs of all stages together.
        fallback: what was done instead, and why. None where the method ran as described.
        notes: why the answer may mean nothing: a model that reads drawn scenes alone, settings that are a guess.
        settings: layer, sigma and alpha, with their source.
        model_name: as in `VLM.name`.
        direct_answer: the reply without the compact image. None where it was not asked for.
        direct_letter: the option letter read off that reply.
        others: pictures behind the first, and what was found in them.
    """

    question: str
    options: list[str] | None
    answer: str
    letter: str | None
    entities: Entities
    timings: dict[str, float]
    counts: dict[str, int]
    fallback: str | None
    settings: Settings
    model_name: str
    direct_answer: str | None = None
    direct_letter: str | None = None
    notes: tuple[str, ...] = ()
    others: tuple[Looked, ...] = ()

    @property
    def looked(self) -> tuple[Looked, ...]:
        """Every picture of the question in its order, with what was found in it; mostly one."""
        return (Looked(self.image, self.rows, self.maps, self.boxes, self.compact_image), *self.others)

    @property
    def prior(self) -> Float[np.ndarray, "h w"]:
        """The noise prior in [0, 1] that was subtracted from the smoothed and scaled raw maps."""
        return self.rows.prior(self.settings.layer, self.settings.sigma)

    def __str__(self) -> str:
        direct, options = self.direct_answer, self.options
        lines = [
            f"question  {_line(self.question)}",
            *([] if direct is None else [f"direct    {_line(quoted(direct, self.direct_letter, options))}"]),
            f"HiDe      {_line(quoted(self.answer, self.letter, options))}",
            f"entities  {_line(self.entities.text)} ({self.entities.source})",
            *(f"regions   {_counted(one)}" for one in self.looked),
            f"seconds   {sum(self.timings.values()):.2f}: "
            + ", ".join(f"{k} {v:.2f}" for k, v in self.timings.items()),
        ]
        lines += [f"fallback  {self.fallback}"] if self.fallback else []
        return "\n".join(lines + [f"note      {_line(note)}" for note in self.notes])

    def __repr__(self) -> str:
        boxes = [one.boxes for one in self.looked]
        found = f"entities={self.entities.text!r}, boxes={boxes if self.others else self.boxes}"
        found += f", notes={self.notes}" if self.notes else ""
        return f"Result(answer={self.answer!r}, letter={self.letter!r}, {found})"

    def figure(self, truth_xyxy=()):
        """A matplotlib figure of all stages: picture with regions, one overlay a token, compact image, answers.

        Args:
            truth_xyxy: true boxes in pixels of `image`, drawn dashed. Of several pictures, a list of boxes for each.
        """
        from hide_utils.plots import plain_text, stages, stages_of_several  # only here: drawing takes long to load

        settings = self.settings
        details = (
            self.model_name,
            f"entities: {plain_text(self.entities.text, 80)}",
            f"layer {settings.layer + 1} (counted from 1), σ {settings.sigma:g}, α {settings.alpha:g}",
            self.fallback,
            *(plain_text(note, 300) for note in self.notes),
        )
        said: dict[str, Any] = {
            "question": self.question,
            "options": self.options,
            "answers": {"direct": (self.direct_answer, self.direct_letter), "HiDe": (self.answer, self.letter)},
            "details": details,
        }
        if self.others:
            return stages_of_several(self.looked, truth_xyxy, **said)
        return stages(self.image, self.boxes, self.tokens, self.maps, self.compact_image, truth=truth_xyxy, **said)

    def _repr_png_(self, truth_xyxy=()) -> bytes:
        import matplotlib.pyplot as plt

        from hide_utils.plots import every_letter

        figure, buffer = self.figure(truth_xyxy), io.BytesIO()
        with every_letter(figure):
            figure.savefig(buffer, format="png", dpi=110)
        plt.close(figure)
        return buffer.getvalue()

    def save(self, folder: str | PathLike) -> list[Path]:
        """Write every stage into a folder. Each file is replaced whole or not at all.

        Args:
            folder: where to write; made where it is missing.

        Returns:
            Paths of ``result.json``, ``stages.png``, ``maps.npz`` (with the names of `SearchAttention.arrays`),
            ``image.png`` and, where there is one, ``compact.png``. Of several pictures, the second's are
            ``maps_2.npz`` and so on.

        Raises:
            OSError: the disk is full or the folder cannot be written. The message names the file.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        record = {name: getattr(self, name) for name in RECORDED}
        record |= {"entities": asdict(self.entities), "settings": asdict(self.settings)}
        if self.others:
            record["pictures"] = [{"tokens": one.tokens, "boxes": one.boxes} for one in self.looked]
        writers: dict[str, Callable[[Path], Any]] = {"stages.png": lambda path: path.write_bytes(self._repr_png_())}
        for number, one in enumerate(self.looked, 1):
            mark = f"_{number}" if number > 1 else ""
            arrays = one.rows.arrays(self.settings.layer, self.settings.sigma)
            writers[f"maps{mark}.npz"] = partial(np.savez_compressed, **arrays)  # type: ignore[arg-type]
            writers[f"image{mark}.png"] = partial(one.image.save, format="PNG")
            if one.compact_image is not None:
                writers[f"compact{mark}.png"] = partial(one.compact_image.save, format="PNG")
        write_json(folder / "result.json", record)
        for name, write in writers.items():
            replace_file(folder / name, write)
        return [folder / name for name in ("result.json", *writers)]


def _counted(one: Looked) -> str:
    compact = "none" if one.compact_image is None else "{} x {} px".format(*one.compact_image.size)
    return f"{len(one.boxes)} of {one.image.width} x {one.image.height} px, compact image {compact}"


def _line(text: str, most: int = 500) -> str:
    """Text as one line of at most `most` characters that moves no cursor: control characters become spaces."""
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= most else text[: most - 1] + "…"
