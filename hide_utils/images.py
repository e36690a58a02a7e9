"""Reads any picture as plain 8-bit RGB, or says what is wrong with it."""

import io
import math
import os
import threading

import numpy as np
from PIL import Image, UnidentifiedImageError

_WHITE = (255, 255, 255)
_BAND_PIXELS = 2**20  # converted at a time: a large picture then takes memory only as it was stored and as RGB
# The formats that pictures are kept in. Pillow reads more, but those are rare, or programs that it would run (EPS).
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
# Decoders of these formats hold the picture several times: as measured, 50 megapixels take the memory that 100 take
# in the others.
_COUNTED_TWICE = ("WEBP", "AVIF", "JPEG2000")
# Each scan of a progressive JPEG goes over all pixels, and a few bytes are enough for one, so that a small file could
# take hours. Encoders write about ten scans.
_MOST_SCANNED = 2000  # megapixels times scans, which take some seconds
# Pillow's own limit of pixels is a variable of its module. It is lifted only while a header is read, by one thread at a
# time, since `read_image` has a limit of its own.
_PILLOW_LIMIT = threading.Lock()


class ImageError(ValueError):
    """A picture that cannot be used; the message says why and what to do."""


def read_image(source: str | os.PathLike | bytes | Image.Image, *, max_megapixels: float = 100) -> Image.Image:
    """Read a picture as RGB, upright and without transparency.

    EXIF orientation is applied. Transparent pixels, of palettes too, are composited on white. CMYK is converted. Greys
    of 16 bits and floats are scaled to 8 bits. Of an animation the first frame is taken.

    Args:
        source: path, encoded bytes, or a PIL picture, which is left as it is. Formats that are read: PNG, JPEG, WebP,
            TIFF, GIF, BMP, PPM, AVIF and JPEG 2000.
        max_megapixels: largest width * height / 10^6 that is accepted. It is checked on the header, before anything is
            decoded. WebP, AVIF, JPEG 2000 and progressive CMYK may have half of it. Reading what the default lets
            through takes less than 1 GB of memory.

    Raises:
        FileNotFoundError: where there is no such file.
        ImageError: for a picture that is unreadable, cut short, empty or too large.
        MemoryError: where the memory does not suffice after all.
    """
    rgb, turn = _read(source, max_megapixels)  # the stored picture is freed by now, which makes room for turning
    return rgb if turn is None else rgb.transpose(turn)


def upright_size(source: str | os.PathLike | bytes) -> tuple[int, int]:
    """Width and height in pixels of the picture that `read_image` would give, from its head.

    EXIF orientation is applied. A PNG without EXIF in its head is decoded, since EXIF may follow its pixels.

    Args:
        source: path or encoded bytes.

    Raises:
        FileNotFoundError: where there is no such file.
        ImageError: for what the head shows to be unreadable, empty or larger than 100 megapixels.
    """
    name = "the picture" if isinstance(source, bytes) else str(source)
    with _open(source, name) as image:
        _check_size(image, name, 100)
        # These swap the sides; of a TIFF Pillow gives the upright size.
        turned = image.format != "TIFF" and _orientation(image) in (5, 6, 7, 8)
        return image.size[::-1] if turned else image.size


def composite_on_white(rgba: Image.Image) -> Image.Image:
    """The picture on a white ground, as RGB.

    Pillow's `convert("RGB")` would show the colors stored behind transparent pixels, which are mostly black.
    """
    rgba = rgba if rgba.mode == "RGBA" else rgba.convert("RGBA")
    ground = Image.new("RGB", rgba.size, _WHITE)
    ground.paste(rgba, mask=rgba)
    return ground


def pad_to_aspect(image: Image.Image, limit: float = 200, *, max_megapixels: float = 100) -> Image.Image:
    """Widen a picture with white at its right or lower edge until long side / short side <= `limit`.

    Processors refuse extreme shapes. Pixels keep their coordinates. A picture within the limit is returned as it is.

    Args:
        image: as RGB.
        limit: largest ratio of the sides, at least 1. Qwen's processors accept 200.
        max_megapixels: largest size of the padded picture. Without it, a line of a million pixels would be padded to
            tens of gigabytes.

    Raises:
        ValueError: for a limit below 1.
        ImageError: where the padded picture would have more than `max_megapixels`.
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
    """The picture as RGB, not yet turned, and the turn that makes it upright, or None."""
    if isinstance(source, Image.Image):
        return _decode(source, "the picture", max_megapixels)
    name = "the picture" if isinstance(source, bytes) else str(source)
    with _open(source, name) as image:
        return _decode(image, name, max_megapixels)


def _open(source: str | os.PathLike | bytes, name: str) -> Image.Image:
    """Open a picture by its header alone; `name` stands for it in errors.

    Raises:
        FileNotFoundError: where there is no such file.
        ImageError: for a folder, an empty file, a format that is not read and a damaged header.
    """
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
    except Exception as error:  # a format's reader may raise nearly any error on a damaged header
        why = str(error) or type(error).__name__
        raise ImageError(f"{name} cannot be opened ({why}): check that it is a whole, readable picture") from error


def _check_size(image: Image.Image, name: str, max_megapixels: float) -> None:
    """Raises ImageError for a picture without pixels or with too many."""
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
    """Raises ImageError for a JPEG with so many scans that decoding it would take long."""
    stream = getattr(image, "fp", None)
    if image.format not in ("JPEG", "MPO") or stream is None:
        return
    stream.seek(0)
    scans = stream.read().count(b"\xff\xda")  # a scan's first marker, which never occurs in its data
    if scans * image.width * image.height > _MOST_SCANNED * 1e6:
        raise ImageError(
            f"{name} is a JPEG of {scans} scans over {image.width}x{image.height} pixels, made to take long: save it "
            "again, say as PNG"
        )


def _decode(image: Image.Image, name: str, max_megapixels: float) -> tuple[Image.Image, Image.Transpose | None]:
    """Check an opened picture and decode it; see `_read` for what is returned."""
    _check_size(image, name, max_megapixels)
    _check_scans(image, name)
    try:
        image.load()
        rgb = _to_rgb(image)
        rgb.info = {}  # the orientation would be applied twice, and the color profile describes the stored colors
        return rgb, _TURNS.get(_orientation(image))
    except MemoryError:
        pixels = f"{image.width}x{image.height} pixels"
        raise MemoryError(f"{name} has {pixels}, too many for the memory there is: lower max_megapixels") from None
    except ImageError as error:
        raise ImageError(f"{name} {error}") from None
    except Exception as error:  # damaged data shows as OSError, SyntaxError, struct.error and others
        raise ImageError(f"{name} is cut short or damaged ({error}): copy or download it again") from error


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1, which is upright, where it is absent or unreadable."""
    try:
        found = image.getexif().get(_ORIENTATION)
    except Exception:  # damaged EXIF raises nearly any error, and the pixels are whole without it
        return 1
    return found if isinstance(found, int) and found in _TURNS else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """A new picture as RGB, made band by band where colors need more than Pillow's conversion.

    Raises:
        ImageError: for a color mode that is not supported and for greys that are not finite. The message lacks the
            picture's name.
    """
    deep = image.mode.startswith(("I", "F"))
    try:
        if not deep and not image.has_transparency_data:
            return image.convert("RGB")
        # Floats are taken to lie in [0, 1], or in [0, 255] where any exceeds 1.
        scale = 255 if image.mode == "F" and np.max(image.getextrema()) <= 1 else 1
        inverted = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0  # 0 stands for white there
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
    """Greys of more than 8 bits as 8 bits; the grey that the file calls transparent becomes white.

    Args:
        band: part of a picture in one of Pillow's modes I and F. Integers count as 16-bit.
        scale: what floats are multiplied with, to lie in [0, 255].
        inverted: whether the smallest value is white.

    Raises:
        ImageError: for NaN and infinite values.
    """
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
