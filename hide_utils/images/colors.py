"""The colors of any picture as 8-bit RGB: profiles, transparency, and greys of more than 8 bits."""

import io
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageChops, ImageCms

WHITE = (255, 255, 255)
_BAND_PIXELS = 2**20  # converted at a time: a large picture then takes memory only as it was stored and as RGB
_PHOTOMETRIC = 0x0106  # tag of TIFF
# Ranges that greys of more than 8 bits come in, by Pillow's mode: what the lightest lies between, and the factor that
# makes it 8 bits. What lies in none of them is too dark or light to tell which number stands for white.
_GREY_RANGES = {
    "F": ((0, 1.25, 255), (64, 320, 1)),  # resampling leaves values a little outside
    "I": ((0, 255, 1), (16384, 65535, 1 / 257)),
}


class ImageError(ValueError):
    """A picture that cannot be used; the message says why and what to do."""


def composite_on_white(rgba: Image.Image) -> Image.Image:
    """The picture on a white ground, as RGB.

    Pillow's `convert("RGB")` would show the colors stored behind transparent pixels, which are mostly black.
    """
    rgba = rgba if rgba.mode == "RGBA" else rgba.convert("RGBA")
    ground = Image.new("RGB", rgba.size, WHITE)
    ground.paste(rgba, mask=rgba)
    return ground


def to_rgb(image: Image.Image) -> Image.Image:
    """A new picture as RGB, made band by band where colors need more than Pillow's conversion.

    Raises:
        ImageError: for a color mode that is not supported and for greys of no clear range. The message lacks the
            picture's name.
    """
    deep, profile = image.mode.startswith(("I", "F")), _profile(image)
    try:
        if not (deep or profile or image.has_transparency_data):
            return image.convert("RGB")
        scale = _grey_scale(image) if deep else 1
        inverted = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0  # 0 stands for white there
        rgb = Image.new("RGB", image.size)
        for top, band in _bands(image):
            rgb.paste(_in_srgb(_deep_grey(band, scale, inverted) if deep else band, profile), (0, top))
        return rgb
    except ImageError:
        raise
    except ValueError:
        raise ImageError(
            f"has color mode {image.mode}, which is not supported: save the picture as RGB first"
        ) from None


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Upper edges of a picture's bands, and the bands."""
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _profile(image: Image.Image) -> ImageCms.ImageCmsTransform | None:
    """What takes the picture's colors to sRGB by its color profile.

    None where there is no profile, or it is damaged or of another kind of picture, and where it changes colors by no
    more than rounding, as the many profiles of sRGB do.
    """
    if not (stored := image.info.get("icc_profile")):
        return None
    mode = "CMYK" if image.mode == "CMYK" else "L" if image.mode[0] in "1LIF" else "RGB"
    ramp = Image.linear_gradient("L")
    probe = Image.merge("RGB", (ramp, ramp.rotate(90), ramp.rotate(180))).convert(mode)
    try:
        stored, srgb = io.BytesIO(stored), ImageCms.createProfile("sRGB")
        profile = ImageCms.buildTransform(stored, srgb, mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
        moved = ImageChops.difference(profile.apply(probe), probe.convert("RGB"))
    except ImageCms.PyCMSError:
        return None
    return profile if np.max(moved.getextrema()) > 2 else None


def _in_srgb(band: Image.Image, profile: ImageCms.ImageCmsTransform | None) -> Image.Image:
    """Part of a picture as RGB on white, its colors taken through `profile`."""
    flat = composite_on_white(band) if band.has_transparency_data else band
    return profile.apply(flat.convert(profile.input_mode)) if profile else flat


def _grey_scale(image: Image.Image) -> float:
    """What the greys of a picture in one of Pillow's modes I and F are multiplied with to lie in [0, 255].

    Raises:
        ImageError: for NaN and infinite values, and where their range is in none of `_GREY_RANGES`, so that black and
            white may be any numbers.
    """
    kind, greys = image.mode[0], (np.asarray(band) for _, band in _bands(image))
    low, high, mean = np.array([(grey.min(), grey.max(), grey.mean(dtype=float)) for grey in greys], float).T
    if not np.isfinite(mean).all():
        raise ImageError("holds NaN or infinite greys: replace them first")
    found = f"greys from {low.min():g} to {high.max():g}"
    for least, most, scale in _GREY_RANGES[kind]:
        if least <= high.max() <= most and low.min() >= (-most / 4 if kind == "F" else 0):
            if mean.mean() * scale < 1 and high.max() > 0:
                warnings.warn(
                    f"a picture with {found} comes out almost black: is an outlier the lightest?", stacklevel=6
                )
            return scale
    raise ImageError(f"has {found}, and which is black or white is not clear: save it in 8 bits")


def _deep_grey(band: Image.Image, scale: float, inverted: bool) -> Image.Image:
    """Greys of more than 8 bits as 8 bits; the grey that the file calls transparent becomes white.

    Args:
        band: part of a picture in one of Pillow's modes I and F.
        scale: what greys are multiplied with, to lie in [0, 255].
        inverted: whether the smallest value is white.
    """
    grey = np.asarray(band)
    byte = np.clip(np.rint(grey * scale), 0, 255).astype(np.uint8)
    byte = 255 - byte if inverted else byte
    if isinstance(clear := band.info.get("transparency"), int):
        byte = np.where(grey == clear, np.uint8(255), byte)
    return Image.fromarray(byte)
