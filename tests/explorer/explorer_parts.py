"""What the explorer's tests share: the configuration, and what they read off the widgets and the model."""

import base64
import io
import re

from PIL import Image

from hide_utils.analyses.explorer import ExplorerConfig

CONFIG = ExplorerConfig(n=4, resolution=256, layer=1, sigma=0.5, alpha=0.6)


def runs(hide):
    return dict(hide.model.counts)


def shown(image):
    return Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", image.value)[1])))
