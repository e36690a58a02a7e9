"""The explorer of notebook 08: drag a slider and see what HiDe sees.

Read `case` (what is computed), `opening`, `panes` (how it is drawn), `form` (the controls), then `app` (what they do).
`sample_list` offers samples by what was right. `sensitivity` moves one setting over many cases and times it.
"""

from hide_utils.explorer.app import Explorer
from hide_utils.explorer.case import Knobs, view_of
from hide_utils.explorer.opening import open_listed
from hide_utils.explorer.sensitivity import differing, one_at_a_time, redraw_seconds, slider_curves
