"""Any picture, however stored -> a plain 8-bit RGB picture; or an error that says what is wrong with it."""

import io
import math
import os
import threading

import numpy as np
from PIL import Image, UnidentifiedImageError

_WHITE = (255, 255, 255)
_BAND_PIXELS = 2**20  # converted at once, so that a large picture never exists in a third form
# Of what Pillow reads, the formats that pictures are kept in. The others are rare, or programs that are run (EPS).
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "AVIF", "JPEG2000")
_TURNS = {  # EXIF orientation -> what makes the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION, _PHOTOMETRIC = 0x0112, 0x0106  # tags of EXIF and TIFF
# Measured: of these the decoder holds the picture several times, so that 50 megapixels take what 100 do elsewhere.
_COUNTED_TWICE = ("WEBP", "AVIF", "JPEG2000")
# Each scan of a progressive JPEG goes over all pixels, and a few bytes make one. Encoders write about ten.
_MOST_SCANNED = 2000  # megapixels times scans, some seconds
# Pillow's own limit is a module variable; it is lifted only while a header is read, by one thread at a time.
_PILLOW_LIMIT = threading.Lock()


class ImageError(ValueError):
    """A picture that cannot be used; the message says why and what to do."""


def read_image(source: str | os.PathLike | bytes | Image.Image, *, max_megapixels: float = 100) -> Image.Image:
    """Picture as RGB, upright, without transparency.

    source: path, encoded bytes, or a PIL picture (which is left as it is).
    max_megapixels: largest width * height / 10^6 accepted, read from the header before anything is decoded; half of it
        for WebP, AVIF, JPEG 2000 and progressive CMYK. Reading what the default lets through takes less than 1 GB.

    EXIF orientation is applied; palette, LA and RGBA are composited on white; CMYK is converted; 16-bit and float greys
    are scaled to 8 bits; of an animation the first frame is taken.
    Raises FileNotFoundError, or ImageError for a picture that is unreadable, cut short, empty or too large.
    """
    rgb, turn = _read(source, max_megapixels)  # what was stored is gone by now, which makes room for turning
    return rgb if turn is None else rgb.transpose(turn)


def upright_size(source: str | os.PathLike | bytes) -> tuple[int, int]:
    """Width and height that `read_image` would give, EXIF orientation applied, from the picture's head.

    A PNG without EXIF in its head is decoded, for it may stand behind the pixels. Raises as `read_image` does for what
    the head shows, more than 100 megapixels included.
    """
    name = "the picture" if isinstance(source, bytes) else str(source)
    with _open(source, name) as image:
        _check_size(image, name, 100)
        # These swap the sides; of a TIFF Pillow gives the upright size.
        turned = image.format != "TIFF" and _orientation(image) in (5, 6, 7, 8)
        return image.size[::-1] if turned else image.size


def composite_on_white(rgba: Image.Image) -> Image.Image:
    """RGBA on a white ground as RGB (`convert("RGB")` alone would show what lies behind transparent pixels: black)."""
    rgba = rgba if rgba.mode == "RGBA" else rgba.convert("RGBA")
    ground = Image.new("RGB", rgba.size, _WHITE)
    ground.paste(rgba, mask=rgba)
    return ground


def pad_to_aspect(image: Image.Image, limit: float = 200, *, max_megapixels: float = 100) -> Image.Image:
    """Picture widened with white at its right or lower edge until long side / short side <= `limit`.

    Processors refuse extreme shapes (Qwen's: 200). Pixels keep their coordinates. A picture within the limit is
    returned as it is. Raises ValueError for a limit below 1, and ImageError where the padded picture would have more
    than max_megapixels: a line of a million pixels would take tens of gigabytes.
    """
    if not limit >= 1:
        raise ValueError(f"limit={limit}: a ratio of long to short side is at least 1")
    least = math.ceil(max(image.size) / limit)
    if min(image.size) >= least:
        return image
    width, height = max(image.width, least), max(image.height, least)
    if width * height > max_megapixels * 1e6:
        raise ImageError(
            f"a picture of {image.width}x{image.height} pixels would have {width * height / 1e6:.0f} megapixels, more "
            f"than {max_megapixels:g}, when padded to a long side of {limit:g} times the short one: cut it into parts"
        )
    padded = Image.new("RGB", (width, height), _WHITE)
    padded.paste(image)
    return padded


def _read(
    source: str | os.PathLike | bytes | Image.Image, max_megapixels: float
) -> tuple[Image.Image, Image.Transpose | None]:
    """The picture as RGB, not yet turned, and what turns it upright."""
    if isinstance(source, Image.Image):
        return _decode(source, "the picture", max_megapixels)
    name = "the picture" if isinstance(source, bytes) else str(source)
    with _open(source, name) as image:
        return _decode(image, name, max_megapixels)


def _open(source: str | os.PathLike | bytes, name: str) -> Image.Image:
    """Read the header alone."""
    if not isinstance(source, bytes) and os.path.isdir(source):
        raise ImageError(f"{name} is a folder: give the path of one picture")
    try:
        with _PILLOW_LIMIT:
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                Image.init()
                formats = [known for known in _FORMATS if known in Image.OPEN]  # a build of Pillow may lack some
                return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=formats)
            finally:
                Image.MAX_IMAGE_PIXELS = limit
    except FileNotFoundError:
        raise FileNotFoundError(f"no picture at {name}: check the path (download web addresses first)") from None
    except UnidentifiedImageError:
        empty = not (len(source) if isinstance(source, bytes) else os.path.getsize(source))
        known = f"is in no format that is read ({', '.join(_FORMATS)}), or its header is damaged"
        raise ImageError(f"{name} {'is empty (0 bytes)' if empty else known}: save it again, say as PNG") from None
    except Exception as error:  # a format's reader may raise nearly anything on a damaged header
        why = str(error) or type(error).__name__
        raise ImageError(f"{name} cannot be opened ({why}): check that it is a whole, readable picture") from error


def _check_size(image: Image.Image, name: str, max_megapixels: float) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"{name} has {width}x{height} pixels: give a picture with at least one")
    twice = image.format in _COUNTED_TWICE or (image.mode == "CMYK" and "progressive" in image.info)
    if not width * height * (1 + twice) <= max_megapixels * 1e6:
        raise ImageError(
            f"{name} has {width}x{height} = {width * height / 1e6:.1f} megapixels"
            f"{f', which count twice in {image.format}' if twice else ''}, more than max_megapixels="
            f"{max_megapixels:g}: raise max_megapixels if memory allows, or give a smaller picture"
        )


def _check_scans(image: Image.Image, name: str) -> None:
    stream = getattr(image, "fp", None)
    if image.format not in ("JPEG", "MPO") or stream is None:
        return
    stream.seek(0)
    scans = stream.read().count(b"\xff\xda")  # the marker that starts one; never within a scan's own data
    if scans * image.width * image.height > _MOST_SCANNED * 1e6:
        raise ImageError(
            f"{name} is a JPEG of {scans} scans over {image.width}x{image.height} pixels, made to take long: save it "
            "again, say as PNG"
        )


def _decode(image: Image.Image, name: str, max_megapixels: float) -> tuple[Image.Image, Image.Transpose | None]:
    _check_size(image, name, max_megapixels)
    _check_scans(image, name)
    try:
        image.load()
        rgb = _to_rgb(image)
        rgb.info = {}  # no orientation to be applied twice, no profile of colors that are converted
        return rgb, _TURNS.get(_orientation(image))
    except MemoryError:
        pixels = f"{image.width}x{image.height} pixels"
        raise MemoryError(f"{name} has {pixels}, too many for the memory there is: lower max_megapixels") from None
    except ImageError as error:
        raise ImageError(f"{name} {error}") from None
    except Exception as error:  # as above: damaged data surfaces as OSError, SyntaxError, struct.error, ...
        raise ImageError(f"{name} is cut short or damaged ({error}): copy or download it again") from error


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where it is absent or unreadable, since the pixels are whole without it."""
    try:
        found = image.getexif().get(_ORIENTATION)
    except Exception:  # as above
        return 1
    return found if isinstance(found, int) and found in _TURNS else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """A new picture, made band by band where more than a conversion of colors is needed."""
    deep = image.mode.startswith(("I", "F"))
    try:
        if not deep and not image.has_transparency_data:
            return image.convert("RGB")
        # Floats lie in [0, 1], or in [0, 255] if any value exceeds 1.
        scale = 255 if image.mode == "F" and np.max(image.getextrema()) <= 1 else 1
        inverted = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0  # TIFF's "min is white"
        rgb = Image.new("RGB", image.size)
        rows = max(1, _BAND_PIXELS // image.width)
        for top in range(0, image.height, rows):
            band = image.crop((0, top, image.width, min(top + rows, image.height)))
            rgb.paste(_deep_grey(band, scale, inverted) if deep else composite_on_white(band), (0, top))
        return rgb
    except ImageError:
        raise
    except ValueError:
        raise ImageError(
            f"has color mode {image.mode}, which is not supported: save the picture as RGB first"
        ) from None


def _deep_grey(band: Image.Image, scale: float, inverted: bool) -> Image.Image:
    """Greys of more than 8 bits as 8; integers count as 16-bit. A grey that the file calls transparent is white."""
    grey = np.asarray(band)
    if grey.dtype.kind == "f":
        if not np.isfinite(grey).all():
            raise ImageError("holds NaN or infinite greys: replace them first")
        byte = np.clip(np.rint(grey * np.float32(scale)), 0, 255).astype(np.uint8)
    else:
        byte = ((np.clip(grey, 0, 65535).astype(np.uint32) + 128) // 257).astype(np.uint8)  # 65535 becomes 255
    byte = 255 - byte if inverted else byte
    if isinstance(clear := band.info.get("transparency"), int):
        byte = np.where(grey == clear, np.uint8(255), byte)
    return Image.fromarray(byte)
