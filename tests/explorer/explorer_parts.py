"""What the explorer's tests share: the configuration, and what they read off the widgets and the model."""

import numpy as np

from hide_utils.analyses.explorer import ExplorerConfig

CONFIG = ExplorerConfig(n=4, resolution=256, layer=1, sigma=0.5, alpha=0.6)


def runs(hide):
    return dict(hide.model.counts)


def drawn(pane):
    """The map that a picture's widget shows."""
    return np.frombuffer(pane.values, np.float32).reshape(pane.grid_hw)


def marks(form):
    """Everything on the main picture that follows from the view, and the second picture."""
    pane = form.pane.map
    return pane.values, pane.regions, pane.own, pane.truth, pane.shown, form.pane.compact.value


def leave_out(explorer, token):
    tokens = explorer.form.strips.tokens
    tokens.chosen = [i for i in tokens.chosen if i != token]
