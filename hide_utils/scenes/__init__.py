"""The drawn benchmark: small objects on photographs, with questions and true boxes.

Read `world` (what there is), `drawing` (how it gets onto a picture), then `questions` (scenes, questions, samples).
"""

from hide_utils.scenes.questions import KINDS, SceneConfig, draw_scene, scene_samples
from hide_utils.scenes.world import COLORS, PHOTOGRAPHS, SHAPES, SPLITS, Thing
