"""Any picture as plain 8-bit RGB, or what is wrong with it: `colors` is about its values, `reading` about the rest."""

from hide_utils.images.colors import ImageError, composite_on_white
from hide_utils.images.reading import LFS_HINT, LFS_POINTER, WORLD, pad_to_aspect, read_image, upright_size
