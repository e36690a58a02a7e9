import numpy as np
import pytest
from made_rows import AWAY, BOXED, SINK, rows, sunk

from hide_utils.analyses import sinks
from hide_utils.analyses.tokens import DECOUPLED, components


def test_top_cells_are_counted_up_and_the_first_of_equals():
    ranked = np.arange(12.0).reshape(3, 4)
    assert np.argwhere(sinks.top_cells(ranked, 0.25)).tolist() == [[2, 1], [2, 2], [2, 3]]
    assert sinks.top_cells(ranked, 0.01).sum() == 1 and sinks.top_cells(ranked, 1).all()
    assert np.argwhere(sinks.top_cells(np.zeros((2, 2)), 0.5)).tolist() == [[0, 0], [0, 1]]
    with pytest.raises(ValueError, match="share=0"):
        sinks.top_cells(ranked, 0)


def test_mass_on_the_sinks_is_that_of_each_group():
    table = sinks.sink_table([sunk()]).set_index("group")
    assert table["mass"].to_dict() == pytest.approx(
        {"instruction": 0.5, "content_free": 0.4, "entity": 0.3, "answer": 0.01}, abs=1e-5
    )
    assert table.loc["entity", "above"] == 1 and (table["inside"] == 0).all()
    assert table["touched"].tolist() == pytest.approx([0.04] * 4)
    blind = sinks.sink_table([sunk(entity=0.001)]).set_index("group")
    assert blind.loc["entity", "above"] == 0, "a cell that only the instruction looks at is no sink"
    assert (sinks.sink_table([sunk(BOXED)])["inside"] == 1).all()


def test_instruction_token_does_not_define_its_own_sinks():
    case = sunk()
    case.noise[0], case.noise[1] = rows(1, SINK, 0.5)[0], rows(1, AWAY, 0.5)[0]
    table = sinks.sink_table([case]).set_index("group")
    assert table.loc["instruction", "mass"] == pytest.approx(4 * 0.5 / 396, rel=1e-3), "each looks past the other's"


def test_concentration_of_a_flat_row_is_the_share_itself():
    flat = sunk(entity=0.01)
    curve = sinks.mass_curve([flat, flat], shares=(0.01, 0.5, 1.0)).set_index(["group", "share"])["estimate"]
    assert curve["entity"].tolist() == pytest.approx([0.01, 0.5, 1.0], abs=1e-4)
    assert curve["instruction"].tolist() == pytest.approx([0.5, 0.5 + 0.5 * 196 / 396, 1.0], abs=1e-4)


def test_sinks_at_the_same_place_in_every_picture_or_in_none():
    assert sinks.same_place([sunk(), sunk(), sunk()]) == 1
    assert sinks.same_place([sunk(), sunk(AWAY)]) == 0
    assert sinks.same_place([sunk(), sunk(), sunk(AWAY)]) == pytest.approx(1 / 3)
    assert np.isnan(sinks.same_place([sunk()]))


def test_mean_maps_are_in_units_of_a_flat_map():
    maps = sinks.mean_maps([sunk(), sunk(AWAY)])
    assert list(maps) == list(sinks.GROUPS)
    assert all(m.mean() == pytest.approx(1, abs=1e-4) for m in maps.values())
    assert maps["instruction"][0, 0] == pytest.approx(400 * (0.5 / 4 + 0.5 / 396) / 2, rel=1e-4)


def test_mass_that_a_variant_leaves_on_the_sinks():
    bare, purified = (components(0.0)[name] for name in (DECOUPLED, "prior subtracted (HiDe)"))
    assert sinks.left_on_sinks([sunk()], bare) == [pytest.approx(1.0)]
    assert sinks.left_on_sinks([sunk()], purified) == [0.0], "like the prior, so nothing is left"
