import io
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.font_manager import fontManager
from PIL import Image

from hide_utils import plots
from hide_utils.baselines import LOOKS, METHODS
from hide_utils.stats import accuracy_table, wilson


@pytest.fixture
def ax():
    plots.set_style()
    fig, ax = plots.new_figure()
    yield ax
    plt.close(fig)


@pytest.fixture
def results():
    rows = [("a", "direct", i < 3) for i in range(10)] + [("b", "direct", False) for _ in range(5)]
    rows += [("a", "hide", i < 8) for i in range(10)] + [("b", "hide", True) for _ in range(5)]
    return pd.DataFrame(rows, columns=["kind", "method", "correct"])


def test_every_method_has_a_color_of_its_own_and_a_label():
    assert list(LOOKS) == list(METHODS)
    assert len({look.color for look in LOOKS.values()}) == len({look.label for look in LOOKS.values()}) == len(METHODS)


def test_names_without_a_look_label_themselves_and_take_a_free_color():
    looks = {"a": plots.Look("first", plots.PALETTE[0])}
    assert plots.look_of(looks, "a").label == "first"
    assert plots.look_of(looks, "b") == plots.Look("b", plots.NEUTRAL)
    several = plots.looks_of(looks, ["b", "a", "b", "c"])
    assert list(several) == ["b", "a", "c"] and several["a"] is looks["a"]
    assert (several["b"].color, several["c"].color) == plots.PALETTE[1:3]


def test_style_gives_printed_widths_and_text_that_stays_text(ax):
    assert ax.figure.get_size_inches()[0] == pytest.approx(8.5 / 2.54)
    assert plt.rcParams["pdf.fonttype"] == 42
    wide, _ = plots.new_figure(2, 3, width=plots.PAGE_WIDTH)
    assert wide.get_size_inches() == pytest.approx([17.5 / 2.54, 2 * 0.62 * 17.5 / 2.54 / 3])
    plt.close(wide)


def test_overlay_covers_the_picture_on_a_scale_to_one(ax):
    map_hw = np.array([[0.0, 0.2, 0.4], [0.1, 0.3, 0.5]])
    plots.overlay(ax, Image.new("RGB", (60, 40)), map_hw)
    picture, heat = ax.images
    assert picture.get_array().shape == (40, 60, 3)
    assert heat.get_extent() == picture.get_extent()
    assert heat.get_clim() == (0, 1)
    assert heat.get_alpha()[1, 2] > heat.get_alpha()[0, 0] > 0


def test_boxes_outline_whole_pixels(ax):
    plots.overlay(ax, Image.new("RGB", (60, 40)))
    plots.draw_boxes(ax, [(0, 0, 60, 40), (10, 5, 20, 15)])
    outer, inner = (patch.get_bbox().bounds for patch in ax.patches)
    assert outer == (-0.5, -0.5, 60, 40), "the edges of the shown picture itself"
    assert inner == (9.5, 4.5, 10, 10)


def test_accuracy_table_counts_each_group_and_all(results):
    table = accuracy_table(results).set_index(["kind", "method"])
    assert table.loc[("a", "direct"), ["n", "accuracy"]].tolist() == [10, 0.3]
    assert table.loc[("all", "hide"), ["n", "accuracy"]].tolist() == pytest.approx([15, 13 / 15])
    interval = wilson(13, 15)
    assert table.loc[("all", "hide"), ["low", "high"]].tolist() == [interval.low, interval.high]
    assert list(table.index) == [(group, method) for group in ("a", "b", "all") for method in ("direct", "hide")]


def test_accuracy_of_nothing_is_refused(results):
    with pytest.raises(ValueError, match="lack the column"):
        accuracy_table(results.drop(columns="kind"))
    with pytest.raises(ValueError, match="no results"):
        accuracy_table(results.head(0))


def test_source_line_says_what_was_measured(ax):
    plots.source_line(ax.figure, model="mini", benchmark="scenes", n=12, more="95 % Wilson")
    assert ax.figure.get_supxlabel() == "mini · scenes · n = 12 · 95 % Wilson"


def font_with(letters, name, file):
    """A font that draws every given letter as a square, and nothing else."""
    names = {ord(letter): f"glyph{number}" for number, letter in enumerate(letters)}
    pen = TTGlyphPen(None)
    for number, place in enumerate([(50, 0), (50, 700), (750, 700), (750, 0)]):
        (pen.lineTo if number else pen.moveTo)(place)
    pen.closePath()
    square, empty = pen.glyph(), TTGlyphPen(None).glyph()
    builder = FontBuilder(1000)
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap(names)
    builder.setupGlyf({".notdef": empty} | dict.fromkeys(names.values(), square))
    builder.setupHorizontalMetrics({name: (800, 50) for name in (".notdef", *names.values())})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": name, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(file)
    return str(file)


@pytest.fixture
def only_own_fonts(monkeypatch):
    """As on a machine that has no fonts but matplotlib's."""
    kept = [font for font in fontManager.ttflist if "matplotlib" in font.fname]
    monkeypatch.setattr(fontManager, "ttflist", kept)


def drawn(fig):
    stream = io.BytesIO()
    with plots.every_letter(fig):
        fig.savefig(stream, format="png")
    return stream.getvalue()


@pytest.mark.parametrize("place", ["title", "ticks", "categories", "note"])
def test_letters_that_no_font_has_are_warned_of_once(ax, only_own_fonts, place):
    write = {
        "title": ax.set_title,
        "ticks": lambda text: ax.set_xticks([0], [text]),
        "categories": lambda text: ax.barh([text, "b"], [1, 2]),
        "note": lambda text: plots.note(ax.figure, text),
    }
    write[place]("方块 $x$")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        drawn(ax.figure)
    assert len(said) == 1 and "no font here has 块 方: the figure shows boxes" in str(said[0].message)


def test_letters_are_drawn_in_a_font_that_has_them(ax, only_own_fonts, tmp_path, recwarn):
    ax.set_title("a 方块 หมา")
    ax.barh(["块", "b"], [1, 2])
    for letters, expected in (("方块", ["no font here has ม ห า"]), ("หมา", [])):
        name = f"Squares {len(letters)}"
        fontManager.addfont(font_with(letters, name, tmp_path / f"{name}.ttf"))
        recwarn.clear()
        drawn(ax.figure)
        assert [str(one.message).split(":")[0] for one in recwarn] == expected
    assert ax.title.get_fontfamily() == ["DejaVu Sans", "Squares 2", "Squares 3"]
    assert ax.get_yticklabels()[0].get_fontfamily() == ax.title.get_fontfamily()


def test_a_figure_that_lacks_no_letter_keeps_its_font(ax, recwarn):
    ax.set_title("σ ≥ 1 – “é” → ✓ −3 $x^2$")
    ax.set_xscale("log")
    before = ax.title.get_fontfamily()
    drawn(ax.figure)
    assert ax.title.get_fontfamily() == before and not list(recwarn)


def test_a_notebook_gets_figures_at_twice_their_resolution_and_pictures_as_jpeg():
    shell = InteractiveShell.instance()
    try:
        plots.set_style()
        made = []
        for shown in (np.zeros((8, 8)), np.zeros((8, 8, 3))):
            fig, ax = plots.new_figure()
            ax.imshow(shown)
            data, metadata = shell.display_formatter.format(fig, include={"image/png", "image/jpeg"})
            made.append(set(data))
            ((form, file),) = data.items()
            with Image.open(io.BytesIO(file)) as picture:
                assert picture.width // 2 == metadata[form]["width"] and picture.format.lower() in form
    finally:
        InteractiveShell.clear_instance()
    assert made == [{"image/png"}, {"image/jpeg"}]
