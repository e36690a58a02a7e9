"""The drawn benchmark."""

from hide_utils.scenes.questions import KINDS, SceneConfig, draw_scene, scene_samples
from hide_utils.scenes.world import COLORS, PHOTOGRAPHS, SHAPES, SPLITS, Thing

__all__ = ["COLORS", "KINDS", "PHOTOGRAPHS", "SHAPES", "SPLITS", "SceneConfig", "Thing", "draw_scene", "scene_samples"]
