"""One style for every figure: widths in print, type, legends and source lines."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import rc_params_from_file
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text
from PIL import Image

from hide_utils.looks import PALETTE
from hide_utils.stats.rows import left_out_in_words

INCH = 2.54  # centimetres
COLUMN_WIDTH = 8.5 / INCH
PAGE_WIDTH = 17.5 / INCH

TRUTH_COLOR = PALETTE[2]
BOX_COLOR = PALETTE[3]
MAP_COLORS = "inferno"
MARKERS = "os^DvP"
SPREAD = 0.62  # of the distance between two lines: how far apart the outermost series on a line stand, plus one step

STYLE = rc_params_from_file(Path(__file__).with_name("hide.mplstyle"), use_default_template=False)


def set_style() -> None:
    """Make this the look of every figure drawn from here on. Notebooks call it once, after their imports.

    In a notebook figures are embedded at twice their resolution. Those that show pictures are JPEG there, because a few
    photographs as PNG make a notebook too large for the web to show.
    """
    sns.set_theme(context="paper", style="ticks", palette=PALETTE, rc=STYLE)
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        importlib.import_module("matplotlib_inline.backend_inline")  # which sets formats of its own when it is loaded
        formatters = shell.display_formatter.formatters
        formatters["image/png"].for_type(Figure, lambda fig: None if _shows_pictures(fig) else _embedded(fig, "png"))
        formatters["image/jpeg"].for_type(Figure, lambda fig: _embedded(fig, "jpeg") if _shows_pictures(fig) else None)


def _shows_pictures(fig: Figure) -> bool:
    return any(np.asarray(image.get_array()).ndim == 3 for ax in fig.axes for image in ax.get_images())


def _embedded(fig: Figure, form: str) -> tuple[bytes, dict[str, int]]:
    """The figure's file at twice its resolution, and the size in pixels at which a page shows it.

    A PNG has the 256 colors that fit best, which a drawing does not show, in a third of the bytes.
    """
    drawn, target = io.BytesIO(), io.BytesIO()
    fig.savefig(drawn, format="png", dpi=2 * STYLE["figure.dpi"], bbox_inches="tight")
    with Image.open(drawn) as file:
        picture = file.convert("RGB")
    if form == "jpeg":
        picture.save(target, form, quality=78)
    else:
        picture.quantize(256, dither=Image.Dither.NONE).save(target, form, optimize=True)
    return target.getvalue(), {"width": picture.width // 2, "height": picture.height // 2}


def new_figure(
    rows: int = 1, columns: int = 1, *, width: float = COLUMN_WIDTH, height: float | None = None, **options: Any
) -> tuple[Figure, Any]:
    """`plt.subplots` at a printed size.

    Args:
        rows: panels from top to bottom.
        columns: panels from left to right.
        width: of the figure, in inches.
        height: of the figure, in inches; None is 0.62 of a panel's width for every row.
        options: further arguments of `plt.subplots`.
    """
    height = rows * 0.62 * width / columns if height is None else height
    return plt.subplots(rows, columns, figsize=(width, height), **options)


def note(fig: Figure, text: str) -> None:
    """A small grey line below the figure, at its left edge, and behind it what the figure leaves out for errors."""
    said = " · ".join(filter(None, [text, left_out_in(fig)]))
    fig.supxlabel(said, x=0.01, ha="left", fontsize=7, color="0.35", wrap=True)


def note_left_out(ax: Axes, table: pd.DataFrame) -> None:
    """Have the note below the panel's figure say what a table that is drawn leaves out for errors, if it does."""
    if left_out_in_words(table):
        fig: Any = ax.get_figure(root=True)
        text = fig.get_supxlabel().removesuffix(left_out_in(fig)).removesuffix(" · ")
        fig.left_out = pd.concat([getattr(fig, "left_out", None), table[["n", "left_out"]]])
        note(fig, text)


def left_out_in(fig: Figure) -> str:
    """What the note of a figure says that is left out for errors; empty where nothing is."""
    return left_out_in_words(getattr(fig, "left_out", pd.DataFrame()))


def source_line(fig: Figure, *, model: str, benchmark: str, n: int | str, more: str = "") -> None:
    """Say below the figure what was measured: model, benchmark, number of samples or, as a text, where it stands."""
    note(fig, " · ".join([model, benchmark, n if isinstance(n, str) else f"n = {n}", *([more] if more else [])]))


def shared_legend(fig: Figure, axes: Iterable[Axes], columns: int = 2) -> None:
    """One legend above all panels, each label once."""
    entries: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    fig.legend(
        list(entries.values()),
        list(entries),
        loc="outside upper center",
        ncols=columns,
        columnspacing=1.5,
        handlelength=1.6,
    )


def legend_above(ax: Axes, columns: int = 3, x: float = 0.5, **options: Any) -> None:
    """A panel's legend above it, centred at `x` of its width."""
    ax.legend(ncols=columns, loc="lower center", bbox_to_anchor=(x, 1.0), **options)


def plain_text(text: str, most: int = 160) -> str:
    """Text as a figure can show it, of at most `most` characters.

    Control characters become spaces, and dollars do not start mathematics.
    """
    text = "".join(c if c.isprintable() else " " for c in text)
    return (text if len(text) <= most else text[: most - 1] + "…").replace("$", r"\$")


@contextlib.contextmanager
def every_letter(fig: Figure) -> Iterator[None]:
    """A context to save a figure in, where letters that its font lacks are drawn in other fonts of this machine.

    Where no font has them they are boxes. One warning says so, in place of matplotlib's for each of them.
    """
    for axis in fig.findobj(Axis):
        axis.get_ticklabels()  # their texts are empty before they are asked for
    texts = fig.findobj(Text)
    lacking = {letter for text in texts for letter in text.get_text() if letter.isprintable()}
    own = FontProperties().get_name()
    fonts = {font.name: font.fname for font in fontManager.ttflist if Path(font.fname).is_file()}
    names: list[str] = []
    for name, file in [(own, findfont(own)), *fonts.items()]:
        drawn = {letter for letter in lacking if get_font(file).get_char_index(ord(letter))}
        if drawn and "lastresort" not in name.replace(" ", "").lower():  # that font draws a box for every letter
            names, lacking = [*names, name], lacking - drawn
    if names != [own]:
        for text in texts:
            text.set_fontfamily(names)
    if lacking:
        said = (
            f"no font here has {' '.join(sorted(lacking)[:20])}: the figure shows boxes instead. Install one that has "
        )
        said += "them, and remove fontlist*.json in matplotlib.get_cachedir() so that it is found"
        warnings.warn(said, stacklevel=4)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield
