"""The drawn benchmark."""

from hide_utils.scenes.drawing import COLORS, SHAPES, Thing
from hide_utils.scenes.questions import KINDS, PHOTOGRAPHS, SPLITS, SceneConfig, draw_scene, scene_samples

__all__ = ["COLORS", "KINDS", "PHOTOGRAPHS", "SHAPES", "SPLITS", "SceneConfig", "Thing", "draw_scene", "scene_samples"]
