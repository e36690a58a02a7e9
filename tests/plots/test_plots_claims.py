"""The forest of finding cards: each unit has its panel with its margin, each card its line with its n."""

from hide_utils import plots
from hide_utils.findings import MARGINS, Finding


def card(claim, estimate, unit):
    margin = MARGINS[unit]
    ends = {"low": estimate - margin, "high": estimate + margin}
    return Finding(claim, "It helps.", estimate, **ends, unit=unit, n=len(claim), test="t", p=0.5)


def test_cards_stand_in_the_panel_of_their_unit_with_their_margin_and_n():
    cards, part = [card("one", 3.0, "points"), card("three", -0.25, "IoU")], card("four", -1.0, "points")
    fig = plots.findings_forest(cards, {"one": "the first"}, parts={"one": {"$two": part}})
    points, iou = fig.axes
    assert [text.get_text() for text in points.get_yticklabels()] == ["the first", r"\$two"]
    assert [text.get_color() for text in points.get_yticklabels()] == ["black", "0.5"]
    assert [text.get_text() for text in points.texts] == ["+3.0   n = 3", "−1.0   n = 4"]
    assert [text.get_text() for text in iou.texts] == ["−0.25   n = 5"]
    assert points.patches[0].get_x() == -MARGINS["points"] and iou.patches[0].get_width() == 2 * MARGINS["IoU"]
    assert points.get_xlabel() == "difference in accuracy, points" and iou.get_xlabel() == "difference in IoU"
