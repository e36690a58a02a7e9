"""What the method returns: every stage's output, a picture of them, and a folder to keep."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from hide_utils.files import replace_file, write_json
from hide_utils.method.entities import Entities
from hide_utils.models import Settings

RECORDED = (  # fields that `Result.save` writes to result.json as they are
    "question",
    "options",
    "answer",
    "letter",
    "direct_answer",
    "direct_letter",
    "tokens",
    "boxes",
    "timings",
    "counts",
    "fallback",
    "notes",
    "model_name",
)


@dataclass
class Result:
    """One answer of HiDe with everything that led to it.

    Attributes:
        question: as asked.
        options: as asked. None for a free answer.
        answer: the reply's text.
        letter: the option letter read off the reply. None where it states none.
        entities: what was searched for, and where that came from.
        tokens: texts of the entities' tokens.
        maps: `(tokens, h, w)` purified maps in [0, 1]. A token with nothing above the noise prior is all zero.
        boxes: merged regions, half-open xyxy in pixels of `image`, sorted.
        compact_image: RGBA, transparent where nothing was pasted. None where no box survived.
        image: the picture as read, RGB and upright.
        timings: seconds of each stage.
        counts: forward passes, tokens run and decoded, and FLOPs of all stages together.
        fallback: what was done instead, and why. None where the method ran as described.
        notes: why the answer may mean nothing, from a model that reads drawn scenes alone. Mostly empty.
        settings: layer, sigma and alpha, with their source.
        model_name: as in `VLM.name`.
        direct_answer: the reply without the compact image. None where it was not asked for.
        direct_letter: the option letter read off that reply.
    """

    question: str
    options: list[str] | None
    answer: str
    letter: str | None
    entities: Entities
    tokens: tuple[str, ...]
    maps: Float[np.ndarray, "tokens h w"]
    boxes: list[tuple[int, int, int, int]]
    compact_image: Image.Image | None
    image: Image.Image = field(repr=False)
    timings: dict[str, float]
    counts: dict[str, int]
    fallback: str | None
    settings: Settings
    model_name: str
    direct_answer: str | None = None
    direct_letter: str | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        compact = "none" if self.compact_image is None else "{} x {} px".format(*self.compact_image.size)
        lines = [
            f"question  {_line(self.question)}",
            *([f"direct    {self.direct_answer!r}"] if self.direct_answer is not None else []),
            f"HiDe      {self.answer!r}",
            f"entities  {_line(self.entities.text)} ({self.entities.source})",
            f"regions   {len(self.boxes)} of {self.image.width} x {self.image.height} px, compact image {compact}",
            f"seconds   {sum(self.timings.values()):.2f}: "
            + ", ".join(f"{k} {v:.2f}" for k, v in self.timings.items()),
        ]
        lines += [f"fallback  {self.fallback}"] if self.fallback else []
        return "\n".join(lines + [f"note      {_line(note)}" for note in self.notes])

    def __repr__(self) -> str:
        found = f"entities={self.entities.text!r}, boxes={self.boxes}"
        found += f", notes={self.notes}" if self.notes else ""
        return f"Result(answer={self.answer!r}, letter={self.letter!r}, {found})"

    def figure(self, truth_xyxy=()):
        """A matplotlib figure of all stages: picture with regions, one overlay a token, compact image, answers.

        Args:
            truth_xyxy: true boxes in pixels of `image`, drawn dashed.
        """
        from hide_utils.plots import plain_text, stages  # only here: drawing takes long to load

        settings = self.settings
        details = (
            self.model_name,
            f"entities: {plain_text(self.entities.text, 80)}",
            f"layer {settings.layer + 1} (counted from 1), σ {settings.sigma:g}, α {settings.alpha:g}",
            self.fallback,
            *(plain_text(note, 300) for note in self.notes),
        )
        return stages(
            self.image,
            self.boxes,
            self.tokens,
            self.maps,
            self.compact_image,
            question=self.question,
            options=self.options,
            answers={"direct": (self.direct_answer, self.direct_letter), "HiDe": (self.answer, self.letter)},
            details=details,
            truth=truth_xyxy,
        )

    def _repr_png_(self) -> bytes:
        import matplotlib.pyplot as plt

        from hide_utils.plots import every_letter

        figure, buffer = self.figure(), io.BytesIO()
        with every_letter(figure):
            figure.savefig(buffer, format="png", dpi=110)
        plt.close(figure)
        return buffer.getvalue()

    def save(self, folder: str | PathLike) -> list[Path]:
        """Write every stage into a folder. Each file is replaced whole or not at all.

        Args:
            folder: where to write; made where it is missing.

        Returns:
            Paths of ``result.json``, ``maps.npz``, ``image.png``, ``stages.png`` and, where there is one,
            ``compact.png``.

        Raises:
            OSError: the disk is full or the folder cannot be written. The message names the file.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        record = {name: getattr(self, name) for name in RECORDED}
        record |= {"entities": asdict(self.entities), "settings": asdict(self.settings)}
        writers = {
            "maps.npz": lambda path: _save_maps(path, self.maps),
            "image.png": lambda path: self.image.save(path, format="PNG"),
            "stages.png": lambda path: path.write_bytes(self._repr_png_()),
        }
        if (compact := self.compact_image) is not None:
            writers["compact.png"] = lambda path: compact.save(path, format="PNG")
        write_json(folder / "result.json", record)
        for name, write in writers.items():
            replace_file(folder / name, write)
        return [folder / name for name in ("result.json", *writers)]


def _line(text: str, most: int = 500) -> str:
    """Text as one line of at most `most` characters that moves no cursor: control characters become spaces."""
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= most else text[: most - 1] + "…"


def _save_maps(path: Path, maps: np.ndarray) -> None:
    with path.open("wb") as stream:
        np.savez_compressed(stream, maps=maps)
