"""For programs of tests that need the store or saving alone: their imports take a fifth of the time."""

WITHOUT_THE_FRONT = """
import sys, types, hide_utils
room = types.ModuleType("hide_utils.evaluation")  # the room's front imports evaluate, and with it the methods' looks
room.__path__ = [hide_utils.__path__[0] + "/evaluation"]
sys.modules["hide_utils.evaluation"] = room
"""
