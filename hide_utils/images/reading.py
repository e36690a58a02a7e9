"""Reads any picture as plain 8-bit RGB, or says what is wrong with it."""

import contextlib
import io
import math
import os
import re
import threading
from collections.abc import Iterator
from typing import Any

from PIL import Image, ImageFile, UnidentifiedImageError

from hide_utils.images.colors import WHITE, ImageError, to_rgb

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
_PNG_EXIF = re.compile(rb"eXIf|Raw profile type exif|XML:com\.adobe\.xmp")  # the three ways to state an orientation
_ORIENTATION = 0x0112  # tag of EXIF
# Decoders of these formats hold the picture several times: as measured, 50 megapixels take the memory that 100 take
# in the others.
_COUNTED_TWICE = ("WEBP", "AVIF", "JPEG2000")
# Each scan of a progressive JPEG goes over all pixels, and a few bytes are enough for one, so that a small file could
# take hours. Encoders write about ten scans.
_MOST_SCANNED = 2000  # megapixels times scans, which take some seconds
LFS_POINTER = b"version https://git-lfs"
LFS_HINT = "is a pointer that Git LFS put in place of the file: run `git lfs pull` in its folder"
_PILLOW = threading.Lock()
WORLD = "hide_world"  # in the `info` of a drawn picture: the name of the benchmark that drew it


def read_image(source: str | os.PathLike | bytes | Image.Image, *, max_megapixels: float = 100) -> Image.Image:
    """Read a picture as RGB, upright and without transparency.

    EXIF orientation is applied. Transparent pixels, of palettes too, are composited on white. CMYK is converted. An
    embedded color profile (ICC) is converted to sRGB; color spaces that are stated in other ways are not looked at.
    Greys of 16 bits and floats are scaled to 8 bits. Of an animation the first frame is taken. Of
    the picture's `info`, the mark of a drawn one (`WORLD`) is kept.

    Args:
        source: path, encoded bytes, or a PIL picture, which is left as it is. Formats that are read: PNG, JPEG, WebP,
            TIFF, GIF, BMP, PPM, AVIF and JPEG 2000.
        max_megapixels: largest width * height / 10^6 that is accepted. It is checked on the header, before anything is
            decoded. WebP, AVIF, JPEG 2000 and progressive CMYK may have half of it. Reading what the default lets
            through takes less than 1 GB of memory.

    Raises:
        FileNotFoundError: where there is no such file.
        ImageError: for a picture that is unreadable, cut short, empty or too large, and for greys of an unclear range.
        MemoryError: where the memory does not suffice after all.
    """
    rgb, turn = _read(source, max_megapixels)  # the stored picture is freed by now, which makes room for turning
    return rgb if turn is None else rgb.transpose(turn)


def upright_size(source: str | os.PathLike | bytes, *, max_megapixels: float = 100) -> tuple[int, int]:
    """Width and height in pixels of the picture that `read_image` would give, from its head.

    EXIF orientation is applied. A PNG with EXIF is decoded.

    Args:
        source: path or encoded bytes.
        max_megapixels: as for `read_image`.

    Raises:
        FileNotFoundError: where there is no such file.
        ImageError: for what the head shows to be unreadable, empty or too large.
    """
    name = "the picture" if isinstance(source, bytes) else str(source)
    with _open(source, name) as image:
        _check_size(image, name, max_megapixels)
        # Of a TIFF Pillow gives the upright size. A PNG would be decoded, for EXIF may follow its pixels.
        if image.format == "TIFF" or (image.format == "PNG" and not _PNG_EXIF.search(_stored(image))):
            return image.size
        return image.size[::-1] if _orientation(image) in (5, 6, 7, 8) else image.size  # these swap the sides


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
    padded = Image.new("RGB", (width, height), WHITE)
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


@contextlib.contextmanager
def _own_rules() -> Iterator[None]:
    """Pillow without its limit of pixels, and strict about pictures that are cut short, for one thread at a time.

    Both are variables of its modules, which other libraries set; `read_image` has rules of its own.
    """
    with _PILLOW:
        kept = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, False
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = kept


def _open(source: str | os.PathLike | bytes, name: str) -> Image.Image:
    """Open a picture by its header alone; `name` stands for it in errors.

    Raises:
        FileNotFoundError: where there is no such file.
        ImageError: for a folder, an empty file, a format that is not read and a damaged header.
    """
    if not isinstance(source, bytes) and os.path.isdir(source):
        raise ImageError(f"{name} is a folder: give the path of one picture")
    try:
        with _own_rules():
            Image.init()
            formats = [known for known in _FORMATS if known in Image.OPEN]  # a build of Pillow may lack some
            return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=formats)
    except FileNotFoundError:
        raise FileNotFoundError(f"no picture at {name}: check the path (download web addresses first)") from None
    except UnidentifiedImageError:
        with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as stream:
            head = stream.read(len(LFS_POINTER))
        if head == LFS_POINTER:
            raise ImageError(f"{name} {LFS_HINT}") from None
        known = f"is in no format that is read ({', '.join(_FORMATS)}), or its header is damaged"
        raise ImageError(f"{name} {known if head else 'is empty (0 bytes)'}: save it again, say as PNG") from None
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
    if image.format not in ("JPEG", "MPO") or getattr(image, "fp", None) is None:
        return
    scans = _stored(image).count(b"\xff\xda")  # a scan's first marker, which never occurs in its data
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
        with _own_rules():
            image.load()
        rgb = to_rgb(image)
        # Else the orientation would be applied twice, and the color profile describes the stored colors.
        rgb.info = {key: value for key, value in image.info.items() if key == WORLD}
        return rgb, _TURNS.get(_orientation(image))
    except MemoryError:
        pixels = f"{image.width}x{image.height} pixels"
        raise MemoryError(f"{name} has {pixels}, too many for the memory there is: lower max_megapixels") from None
    except ImageError as error:
        raise ImageError(f"{name} {error}") from None
    except Exception as error:  # damaged data shows as OSError, SyntaxError, struct.error and others
        raise ImageError(f"{name} is cut short or damaged ({error}): copy or download it again") from error


def _stored(image: Any) -> bytes:
    """All bytes of the opened file; its reader goes on where it stood."""
    place = image.fp.tell()
    image.fp.seek(0)
    data = image.fp.read()
    image.fp.seek(place)
    return data


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1, which is upright, where it is absent or unreadable."""
    try:
        found = image.getexif().get(_ORIENTATION)
    except Exception:  # damaged EXIF raises nearly any error, and the pixels are whole without it
        return 1
    return found if isinstance(found, int) and found in _TURNS else 1
