"""Pictures of other people's devices: color profiles, greys of instruments, halves of files, pointers of Git LFS."""

import io
import struct
import warnings

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile

from hide_utils.images import ImageError, read_image

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
PRIMARIES = {  # columns of the profile's matrix, adapted to D50
    "Display P3": ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407)),
    "Adobe RGB": ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)),
}


def profile(name: str) -> bytes:
    """The profile of sRGB with other primaries."""
    raw = bytearray(SRGB.tobytes())
    columns = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), PRIMARIES[name], strict=True))
    for i in range(struct.unpack(">I", raw[128:132])[0]):
        tag, at, _ = struct.unpack(">4sII", raw[132 + 12 * i : 144 + 12 * i])
        if tag in columns:
            raw[at + 8 : at + 20] = b"".join(struct.pack(">i", round(v * 65536)) for v in columns[tag])
    return bytes(raw)


def stored(picture: Image.Image, fmt: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, fmt, **options)
    return stream.getvalue()


@pytest.mark.parametrize("name", PRIMARIES)
@pytest.mark.parametrize("color", [(255, 0, 0), (0, 255, 0), (255, 128, 0), (200, 10, 30), (255, 255, 255)])
@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_color_is_what_its_profile_says(name, color, fmt):
    wide = ImageCms.ImageCmsProfile(io.BytesIO(profile(name)))
    picture = ImageCms.profileToProfile(Image.new("RGB", (16, 16), color), SRGB, wide)
    options = {"JPEG": {"quality": 98}, "WEBP": {"lossless": True}}.get(fmt, {})
    read = read_image(stored(picture, fmt, icc_profile=profile(name), **options))
    # Adobe RGB does not hold the reds and greens of sRGB whole, so that what was stored is a little less.
    np.testing.assert_allclose(read.getpixel((8, 8)), color, atol=12)
    assert not read.info and read_image(read).tobytes() == read.tobytes(), "converted once"


def test_profiles_of_transparent_and_palette_pictures():
    wide = profile("Display P3")
    half = Image.new("RGBA", (8, 8), (117, 251, 76, 255))  # sRGB's green in Display P3
    half.paste((0, 0, 0, 0), (0, 0, 4, 8))
    read = read_image(stored(half, icc_profile=wide))
    assert read.getpixel((1, 1)) == (255, 255, 255)
    np.testing.assert_allclose(read.getpixel((6, 6)), (0, 255, 0), atol=12)
    palette = Image.new("RGB", (8, 8), (117, 251, 76)).quantize(4)
    np.testing.assert_allclose(read_image(stored(palette, icc_profile=wide)).getpixel((6, 6)), (0, 255, 0), atol=12)


@pytest.mark.parametrize("embedded", [None, SRGB.tobytes(), b"no profile", profile("Display P3")[:200]])
def test_without_a_sound_profile_and_with_that_of_srgb_pixels_are_as_stored(embedded):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))
    options = {"icc_profile": embedded} if embedded else {}
    assert read_image(stored(picture, **options)).tobytes() == picture.tobytes()


def test_a_profile_of_colors_says_nothing_about_greys():
    grey = Image.linear_gradient("L")
    assert read_image(stored(grey, icc_profile=profile("Display P3"))).tobytes() == grey.convert("RGB").tobytes()


RAMP = np.linspace(0, 1, 64 * 48, dtype=np.float32).reshape(48, 64)


@pytest.mark.parametrize(
    "greys",
    [
        RAMP,
        RAMP * 1.04 - 0.02,
        RAMP * 255,
        RAMP * 270 - 8,
        (RAMP * 255).astype(np.int32),
        (RAMP * 255).astype(np.uint16),
        (RAMP * 65535).astype(np.uint16),
        (RAMP * 65535).astype(np.int32),
    ],
    ids=["unit", "unit resampled", "bytes", "bytes resampled", "int32", "8 in 16 bits", "16 bits", "16 in 32 bits"],
)
def test_a_ramp_is_a_ramp_in_whatever_numbers(greys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = np.asarray(read_image(Image.fromarray(greys)), float)
    assert abs(read.mean() - 127.5) < 1 and read.min() == 0 and read.max() == 255


@pytest.mark.parametrize(
    "greys",
    [
        (RAMP * 1023).astype(np.uint16),
        (RAMP * 4095).astype(np.uint16),
        (RAMP * 4095).astype(np.int32),
        (RAMP * 16383).astype(np.uint16),
        (RAMP * 4095 - 1024).astype(np.int32),
        (RAMP * 1e6).astype(np.int32),
        RAMP * 10,
        RAMP * 4095,
        RAMP - 0.5,
        np.where(RAMP == 1, np.float32(5), RAMP),
    ],
    ids=["10 bits", "12 bits", "12 in 32", "14 bits", "signed", "beyond 16 bits", "to 10", "to 4095", "centred", "hot"],
)
def test_greys_of_no_clear_range_are_refused(greys):
    with pytest.raises(ImageError, match="the picture has greys from .* which is black or white is not clear"):
        read_image(Image.fromarray(greys))


@pytest.mark.parametrize("hot", [np.float32(200), np.float32(255)])
def test_a_picture_that_one_pixel_makes_black_is_told_of(hot):
    with pytest.warns(UserWarning, match="greys from 0 to .* comes out almost black"):
        read_image(Image.fromarray(np.where(RAMP == 1, hot, RAMP)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not np.asarray(read_image(Image.fromarray(RAMP * 0))).any(), "black is black"


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("flag", [False, True])
def test_half_a_picture_is_refused_whatever_other_libraries_have_set(fmt, flag, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", flag)
    data = stored(Image.fromarray(np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)), fmt)
    with pytest.raises(ImageError, match="cut short|opened"):
        read_image(data[: len(data) // 2])
    opened = Image.open(io.BytesIO(stored(Image.new("RGB", (640, 480)), "BMP")[:90_000]))
    with pytest.raises(ImageError, match="cut short"):
        read_image(opened)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is flag, "which they may need"


def test_a_pointer_of_git_lfs_says_what_to_do(tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    (tmp_path / "a.jpg").write_bytes(pointer)
    for source in (pointer, tmp_path / "a.jpg"):
        with pytest.raises(ImageError, match="is a pointer.*git lfs pull"):
            read_image(source)
