"""The drawn benchmark: small objects on photographs or procedural grounds, with questions, true boxes and masks.

Read `world` (what there is), `drawing` (how it gets onto a picture), `settings` (how many and how large), then
`questions` (scenes, questions, samples).
``data/scenes/icons.py`` wrote the file of the objects' shapes, once.
"""

from hide_utils.scenes.drawing import GROUNDS, thing_mask
from hide_utils.scenes.questions import KINDS, Question, ask, drawn_things, scene_samples, stream
from hide_utils.scenes.settings import DIFFICULTIES, SceneConfig
from hide_utils.scenes.world import COLORS, NOUNS, PHOTOGRAPHS, RECORD, SPLITS, Thing, entity_name
