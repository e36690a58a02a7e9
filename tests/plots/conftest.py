"""What the tests of figures share."""

import matplotlib.pyplot as plt
import pytest

from hide_utils import plots


@pytest.fixture
def ax():
    """An empty panel in the project's style."""
    plots.set_style()
    _, ax = plots.new_figure()
    yield ax
    plt.close("all")
