"""The explorer of notebook 08: drag a slider and see what HiDe sees.

Read `case` (what is computed), `galleries` (beside it), `opening`, `asking` (the model), `widgets` (what the browser
draws) and its scripts, `pane`, `strips`, `form` (the controls), then `app` (what they do). `sensitivity` moves one
setting over many cases.
"""

from hide_utils.explorer.app import Explorer
from hide_utils.explorer.case import Knobs, view_of
from hide_utils.explorer.opening import open_listed
from hide_utils.explorer.sensitivity import differing, one_at_a_time, redraw_seconds, slider_curves
