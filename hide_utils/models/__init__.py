"""Vision-language models of several families behind one interface.

Read `prompt` and `outputs` for what goes in and comes out, `base` for what the families share, then `qwen` (one grid),
`internvl` (tiles), `mistral` (rows with breaks), `idefics` (tiles with markers) and `llava` (a canvas of tiles).
`pixels` and `towers` are a picture's way into the model, `attention` captures rows, `backends` picks device and
kernels, `flops` counts, `loading` makes models.
"""

from hide_utils.models.attention import NAMES
from hide_utils.models.backends import choose_device, choose_dtype, choose_kernels, clocked
from hide_utils.models.base import VLM
from hide_utils.models.flops import reply_flops
from hide_utils.models.loading import FAMILIES, load_model, load_tokenizer
from hide_utils.models.outputs import Cost, Prefix, Reply, Rows, Settings
from hide_utils.models.prompt import ProcessedImage, Prompt
