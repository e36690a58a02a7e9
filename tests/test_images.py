"""Every kind of picture is read as upright RGB, or refused with a reason."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hide_utils.images import WORLD, ImageError, composite_on_white, pad_to_aspect, read_image

RED = (200, 10, 30)
PILLOW_LIMIT = Image.MAX_IMAGE_PIXELS


def encoded(image: Image.Image, fmt: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def noise(width=64, height=48) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_path_bytes_and_picture_give_the_same(tmp_path):
    picture = noise()
    picture.save(tmp_path / "a.png")
    sources = [tmp_path / "a.png", str(tmp_path / "a.png"), encoded(picture), picture]
    for image in map(read_image, sources):
        assert image.mode == "RGB" and image.tobytes() == picture.tobytes()


def test_of_a_pictures_notes_the_mark_of_a_drawn_one_alone_is_kept():
    for picture in (noise(), noise().convert("RGBA"), noise().convert("L")):
        picture.info.update({WORLD: "scenes", "dpi": (72, 72), "icc_profile": b""})
        found = read_image(picture)
        assert found.info == {WORLD: "scenes"}
        assert found.tobytes() == read_image(encoded(picture)).tobytes(), "no pixel changes"
    assert read_image(noise()).info == {} == read_image(encoded(picture)).info


def test_the_callers_picture_is_left_alone():
    picture = noise()
    read_image(picture).paste((0, 0, 0), (0, 0, 64, 48))
    assert picture.tobytes() == noise().tobytes()


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (3, 2)])
@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "LA", "PA", "La", "RGB", "RGBA", "RGBa", "CMYK", "I;16", "I", "F", "HSV"]
)
def test_every_mode_and_shape_is_read_or_refused_clearly(mode, size):
    try:
        image = read_image(Image.new(mode, size))
    except ImageError as error:
        assert mode == "La" and "save the picture as RGB" in str(error)
    else:
        assert (image.mode, image.size) == ("RGB", size)


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM"])
def test_formats(fmt):
    image = read_image(encoded(Image.new("RGB", (20, 10), RED), fmt))
    assert image.size == (20, 10)
    np.testing.assert_allclose(image.getpixel((5, 5)), RED, atol=4)


def test_transparent_becomes_white_not_black():
    for mode in ("RGBA", "LA"):
        assert read_image(encoded(Image.new(mode, (4, 4)))).getpixel((0, 0)) == (255, 255, 255)
    half = Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    np.testing.assert_allclose(read_image(half).getpixel((0, 0)), (255, 127, 127), atol=1)
    palette = Image.new("P", (4, 4))
    palette.putpalette([0, 0, 0, *RED])
    palette.putpixel((1, 1), 1)
    image = read_image(encoded(palette, transparency=0))
    assert image.getpixel((0, 0)) == (255, 255, 255) and image.getpixel((1, 1)) == RED
    assert composite_on_white(Image.new("RGBA", (2, 2), (*RED, 255))).getpixel((0, 0)) == RED


def test_rgb_png_with_a_transparent_color():
    data = encoded(Image.new("RGB", (2, 2), RED), transparency=RED)
    assert read_image(data).getpixel((0, 0)) == (255, 255, 255)


def test_16_bit_greys_are_scaled_not_clipped():
    grey = np.array([[0, 257, 51400, 65535]], np.uint16)
    for source in (encoded(Image.fromarray(grey)), encoded(Image.fromarray(grey), "TIFF"), Image.fromarray(grey)):
        assert np.asarray(read_image(source))[0, :, 0].tolist() == [0, 1, 200, 255]
    as_int32 = Image.fromarray(grey.astype(np.int32))
    assert np.asarray(read_image(as_int32))[0, :, 0].tolist() == [0, 1, 200, 255]


def test_float_greys():
    for grey in ([[0.0, 0.5, 1.0]], [[0.0, 127.6, 255.0]]):
        image = read_image(encoded(Image.fromarray(np.array(grey, np.float32)), "TIFF"))
        assert np.asarray(image)[0, :, 0].tolist() == [0, 128, 255]
    with pytest.raises(ImageError, match="NaN"):
        read_image(Image.fromarray(np.full((2, 2), np.nan, np.float32)))


def test_cmyk_colors_survive():
    image = read_image(encoded(Image.new("RGB", (16, 16), RED).convert("CMYK"), "JPEG", quality=95))
    np.testing.assert_allclose(image.getpixel((8, 8)), RED, atol=12)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    upright = Image.new("RGB", (40, 20), RED)
    upright.paste((0, 0, 255), (0, 0, 10, 10))  # blue: upper left
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # the inverse of what a viewer does
    stored = upright if undo is None else upright.transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = read_image(encoded(stored, exif=exif))
    assert image.tobytes() == upright.tobytes()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"\0"])
def test_damaged_exif_does_not_lose_the_picture(exif):
    assert read_image(encoded(Image.new("RGB", (40, 20)), "JPEG", exif=exif)).size == (40, 20)


@pytest.mark.parametrize("fmt", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken(fmt):
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, (0, 0, 255))]
    data = encoded(
        frames[0], fmt, save_all=True, append_images=frames[1:], **({"lossless": True} if fmt == "WEBP" else {})
    )
    assert read_image(data).getpixel((4, 4)) == RED


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"])
@pytest.mark.parametrize("kept", [0.3, 0.7])
def test_truncated(fmt, kept):
    data = encoded(noise(), fmt)
    with pytest.raises(ImageError, match="cut short|damaged|opened"):
        read_image(data[: int(len(data) * kept)])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]), st.integers(0, 300), st.integers(0, 255))
@pytest.mark.filterwarnings("ignore")
def test_one_wrong_byte_gives_a_picture_or_a_clear_error(fmt, position, value):
    data = bytearray(encoded(noise(12, 9), fmt))
    data[position % len(data)] = value
    try:
        assert read_image(bytes(data)).mode == "RGB"
    except ImageError as error:
        assert str(error).startswith("the picture ")


def test_unreadable(tmp_path):
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ImageError, match=r"text\.png is in no format"):
        read_image(tmp_path / "text.png")
    with pytest.raises(ImageError, match="is empty"):
        read_image(tmp_path / "empty.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no picture at .*gone\.png"):
        read_image(tmp_path / "gone.png")


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_zero_size(size):
    with pytest.raises(ImageError, match=f"{size[0]}x{size[1]} pixels"):
        read_image(Image.new("RGB", size))


def test_size_limit_names_its_parameter_and_can_be_raised():
    picture = Image.new("1", (1000, 1001))
    with pytest.raises(ImageError, match=r"1000x1001 = 1\.0 megapixels.*raise max_megapixels"):
        read_image(picture, max_megapixels=1)
    assert read_image(picture, max_megapixels=1.1).size == (1000, 1001)


def test_a_huge_header_is_refused_before_decoding_and_pillows_limit_is_back():
    small = encoded(Image.new("1", (8, 8)), "BMP")
    size = (30000).to_bytes(4, "little")
    huge = small[:18] + size + size + small[26:]  # 900 megapixels by its header, a few bytes of data
    with pytest.raises(ImageError, match="900.0 megapixels"):
        read_image(huge)
    with pytest.raises(ImageError, match="cut short|damaged"):  # the raised limit lets it through to the decoder
        read_image(huge.replace(size + size, (300).to_bytes(4, "little") + size), max_megapixels=1000)
    assert Image.MAX_IMAGE_PIXELS == PILLOW_LIMIT is not None


@given(st.integers(1, 3000), st.integers(1, 3000), st.floats(1, 300))
@settings(max_examples=40, deadline=None)
def test_padding_meets_the_limit_and_keeps_pixels(width, height, limit):
    width, height = (width, height % 20 + 1) if width % 2 else (width % 20 + 1, height)
    padded = pad_to_aspect(Image.new("RGB", (width, height), RED), limit)
    assert max(padded.size) <= limit * min(padded.size)
    assert max(padded.size) == max(width, height)
    assert padded.getpixel((0, 0)) == padded.getpixel((width - 1, height - 1)) == RED
    if padded.size != (width, height):
        assert padded.getpixel((padded.width - 1, padded.height - 1)) == (255, 255, 255)


def test_padding_of_a_line():
    assert pad_to_aspect(Image.new("RGB", (1, 4000))).size == (20, 4000)
    ordinary = noise()
    assert pad_to_aspect(ordinary) is ordinary
    with pytest.raises(ValueError, match="limit=0.5"):
        pad_to_aspect(ordinary, 0.5)
