"""Figures in one look, a file for each kind. They take pictures, arrays and tables, and know no model and no method.

Read `style` first, then `pictures` and `dots`, which draw what the others arrange: `galleries` and `maps` of pictures,
`curves`, `layers` and `costs` over numbers, `matrices`, `claims` of finding cards. `marks` stand beside measured
points.
"""

from hide_utils.looks import NEUTRAL, PALETTE, Look, look_of, looks_of
from hide_utils.plots.claims import findings_forest
from hide_utils.plots.costs import (
    accuracy_against_cost,
    cost_curves,
    floor_marks,
    levers_rows,
    pareto_front,
    ratios_by_side,
    seconds_by_lever,
    stacked_bars,
)
from hide_utils.plots.curves import PERCENT, accuracy_curve, accuracy_panels, band, bands, error_curves, ticks_at
from hide_utils.plots.dots import (
    ACCURACY,
    DIFFERENCE,
    dot_rows,
    head_dots,
    offsets,
    points,
    ratio_rows,
    rows_beside_published,
)
from hide_utils.plots.galleries import (
    Panel,
    case_gallery,
    edit_gallery,
    gallery,
    picture_and_compact,
    question,
    stages,
    stages_of_several,
)
from hide_utils.plots.layers import (
    chosen_curves,
    layer_curves,
    maps_and_answers,
    middle_third,
    own_choices,
    size_curves,
    split_curves,
)
from hide_utils.plots.maps import layer_maps, sink_panels, token_maps
from hide_utils.plots.marks import level, published_layers, published_rows, reference, setting
from hide_utils.plots.matrices import choice_scatter, difference_matrix, setting_maps
from hide_utils.plots.pictures import PANEL_PIXELS, draw_boxes, overlay
from hide_utils.plots.style import (
    BOX_COLOR,
    COLUMN_WIDTH,
    MAP_COLORS,
    MARKERS,
    PAGE_WIDTH,
    TRUTH_COLOR,
    every_letter,
    left_out_in,
    legend_above,
    new_figure,
    note,
    plain_text,
    set_style,
    shared_legend,
    source_line,
)
