"""evaluation."""

from hide_utils.evaluation.loop import evaluate, stored_answers

__all__ = ["evaluate", "stored_answers"]
