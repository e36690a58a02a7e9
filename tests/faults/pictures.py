"""Some three hundred hostile picture files, made when they are needed, and what reading each of them has to give."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

REFUSED, EITHER = "refused", "read or refused"
BOX = (20, 8, 33, 17)  # of the upright picture: RED inside, shades of blue outside
RED = (255, 0, 0)
JPEG_OFF = 16  # most that a JPEG's pixels are off, at the edges of the box; red and blue differ by far more
FORMATS = {
    "PNG": {},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "GIF": {},
    "BMP": {},
}
# EXIF orientation -> the Image.Transpose that turns an upright picture into one stored with that orientation.
UNDO = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}


@dataclass(frozen=True)
class Hostile:
    """A hostile file, and what reading it has to give.

    Attributes:
        name: its ending need not be that of its format.
        data: its content.
        wanted: `REFUSED`, `EITHER`, or the pixels (h, w, 3) in [0, 255] that are read.
        tolerance: most that a pixel may differ from `wanted`.
    """

    name: str
    data: bytes
    wanted: str | np.ndarray
    tolerance: int = 0


def scene() -> Image.Image:
    """64 x 48 pixels: shades of blue, no two rows or columns alike, and a red box."""
    y, x = np.mgrid[:48, :64]
    picture = Image.fromarray(np.stack([x * 0, 2 * y, 100 + 2 * x], axis=-1).astype(np.uint8))
    picture.paste(RED, BOX)
    return picture


def encoded(image: Image.Image, fmt: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, fmt, **options)
    return stream.getvalue()


def flat(color, width=16, height=12) -> np.ndarray:
    return np.full((height, width, 3), color, np.uint8)


def left_white(color) -> np.ndarray:
    wanted = flat(color)
    wanted[:, :8] = 255
    return wanted


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes, depth=8, color=2, *extra: bytes) -> bytes:
    """A PNG by hand: `rows` are its scan lines with their filter bytes."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    body = b"".join(extra) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + body


def truncated() -> Iterator[Hostile]:
    """Ten ways to store a picture, each cut off after every tenth of its bytes. Half a picture is refused."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))
    ways = [(fmt.lower(), fmt, options) for fmt, options in FORMATS.items()]
    ways += [("progressive", "JPEG", {"progressive": True}), ("webp-lossy", "WEBP", {})]
    ways += [
        ("tiff-lzw", "TIFF", {"compression": "tiff_lzw"}),
        ("tiff-deflate", "TIFF", {"compression": "tiff_deflate"}),
    ]
    for name, fmt, options in ways:
        data = encoded(picture, fmt, **options)
        yield from (Hostile(f"{name}-cut-{tenth}.x", data[: len(data) * tenth // 10], REFUSED) for tenth in range(10))


def misnamed() -> Iterator[Hostile]:
    """Files with the ending of another format, and files that are no pictures. The content counts, not the ending."""
    wanted = np.asarray(scene())
    for fmt, options in FORMATS.items():
        data = encoded(scene(), fmt, **options)
        for ending in ("png", "jpg", "webp", "tif", "txt"):
            yield Hostile(
                f"{fmt.lower()}.{ending}", data, EITHER if fmt == "GIF" else wanted, JPEG_OFF if fmt == "JPEG" else 0
            )
    yield Hostile("page.png", b"<!DOCTYPE html><html><script>alert(1)</script></html>", REFUSED)
    yield Hostile("drawing.png", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', REFUSED)
    yield Hostile(
        "program.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) (w) file closefile\n%%EOF\n", REFUSED
    )
    yield Hostile("document.jpg", b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n", REFUSED)
    yield Hostile("archive.jpg", b"PK\x03\x04" + bytes(60), REFUSED)
    yield Hostile("pickle.png", b"\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.", REFUSED)
    yield Hostile("empty.png", b"", REFUSED)
    yield Hostile("zeros.png", bytes(5000), REFUSED)


def many_frames() -> Iterator[Hostile]:
    """Of animations and of files with several pages the first frame counts."""
    frames = [Image.new("RGB", (16, 12), color) for color in (RED, (0, 0, 255), (0, 255, 0))]
    for fmt in ("GIF", "WEBP", "PNG", "TIFF", "MPO"):
        options = {"lossless": True} if fmt == "WEBP" else {}
        data = encoded(frames[0], fmt, save_all=True, append_images=frames[1:], **options)
        yield Hostile(f"frames-{fmt.lower()}", data, flat(RED), 2 if fmt == "MPO" else 0)


def deep() -> Iterator[Hostile]:
    """Values of 16 bits and floats are scaled to 8 bits. NaN, infinity and ranges that are not clear are refused."""
    grey = np.array([[0, 257, 51400, 65535]], np.uint16)
    wanted = np.repeat(np.array([[0, 1, 200, 255]], np.uint8)[..., None], 3, axis=-1)
    for order in ("<", ">"):
        stored = grey.astype(f"{order}u2")
        for fmt in ("PNG", "TIFF"):
            yield Hostile(
                f"16-{'little' if order == '<' else 'big'}.{fmt.lower()}", encoded(Image.fromarray(stored), fmt), wanted
            )
    light = encoded(Image.fromarray(grey), "TIFF", tiffinfo={262: 0})  # zero is white
    yield Hostile("16-inverted.tiff", light, 255 - wanted)
    clear = wanted.copy()
    clear[0, 0] = 255
    yield Hostile("16-clear.png", encoded(Image.fromarray(grey), "PNG", transparency=0), clear)
    lines = b"\0" + struct.pack(">6H", 65535, 0, 0, 0, 0, 65535)
    yield Hostile("16-rgb.png", png(2, 1, lines, 16), np.array([[RED, (0, 0, 255)]], np.uint8))
    lines = b"\0" + struct.pack(">8H", 65535, 0, 0, 65535, 0, 0, 0, 0)
    yield Hostile("16-rgba.png", png(2, 1, lines, 16, 6), np.array([[RED, (255, 255, 255)]], np.uint8))
    floats = {"unit": [0, 0.5, 1], "bytes": [0, 127.6, 255], "flat": [0.25] * 3}
    found = {"unit": [0, 128, 255], "bytes": [0, 128, 255], "flat": [64] * 3}
    for name, values in floats.items():
        data = encoded(Image.fromarray(np.array([values], np.float32)), "TIFF")
        yield Hostile(f"float-{name}.tiff", data, np.repeat(np.array([found[name]], np.uint8)[..., None], 3, axis=-1))
    for name, unclear in {"negative": [-3, -2, -1], "wide": [0, 2000, 4095], "bright": [0, 1, 5]}.items():
        yield Hostile(f"float-{name}.tiff", encoded(Image.fromarray(np.array([unclear], np.float32)), "TIFF"), REFUSED)
    for name, bad in (("nan", np.nan), ("inf", np.inf), ("minus-inf", -np.inf)):
        for at in (0, 5):
            values = np.full((2, 3), 0.5, np.float32)
            values.flat[at] = bad
            yield Hostile(f"float-{name}-{at}.tiff", encoded(Image.fromarray(values), "TIFF"), REFUSED)


def colors() -> Iterator[Hostile]:
    """CMYK, palettes and transparency. Transparent pixels become white."""
    cmyk = Image.new("RGB", (16, 12), RED).convert("CMYK")
    for fmt, options in (("JPEG", {"quality": 95}), ("TIFF", {})):
        yield Hostile(f"cmyk.{fmt.lower()}", encoded(cmyk, fmt, **options), flat(RED), 12)
    half = Image.new("RGBA", (16, 12), (*RED, 128))
    for fmt, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})):
        yield Hostile(f"half.{fmt.lower()}", encoded(half, fmt, **options), flat((255, 127, 127)), 1)
    yield Hostile("grey-alpha.png", encoded(Image.new("LA", (16, 12), (9, 0)), "PNG"), flat(255))
    for bits in (1, 2, 4, 8):
        palette = Image.new("P", (16, 12), 1)
        palette.putpalette([0, 0, 0, *RED])
        palette.paste(0, (0, 0, 8, 12))
        yield Hostile(f"palette-{bits}.png", encoded(palette, "PNG", transparency=0, bits=bits), left_white(RED))
    yield Hostile(
        "palette-alpha.png", encoded(palette, "PNG", transparency=bytes([0, 128])), left_white((255, 127, 127)), 1
    )
    yield Hostile("palette.gif", encoded(palette, "GIF", transparency=0), left_white(RED))
    yield Hostile("key.png", encoded(Image.new("RGB", (16, 12), RED), "PNG", transparency=RED), flat(255))


def orientations() -> Iterator[Hostile]:
    """The red box has to stand at `BOX` of what is read, however the picture was laid down."""
    for orientation in range(1, 9):
        stored = scene().transpose(Image.Transpose(UNDO[orientation])) if orientation > 1 else scene()
        exif = Image.Exif()
        exif[0x0112] = orientation
        for fmt in ("JPEG", "PNG", "WEBP", "TIFF"):
            how = {"tiffinfo": {274: orientation}} if fmt == "TIFF" else {"exif": exif}
            data = encoded(stored, fmt, **FORMATS[fmt], **how)
            yield Hostile(
                f"turned-{orientation}.{fmt.lower()}", data, np.asarray(scene()), JPEG_OFF if fmt == "JPEG" else 0
            )
        late = encoded(stored, "PNG")[:-12] + chunk(b"eXIf", exif.tobytes()[6:]) + chunk(b"IEND", b"")
        yield Hostile(f"turned-late-{orientation}.png", late, np.asarray(scene()))
    exif = [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(40)]
    for number, damaged in enumerate(exif):
        for fmt in ("JPEG", "PNG", "WEBP"):
            data = encoded(scene(), fmt, **FORMATS[fmt], exif=damaged)
            yield Hostile(f"exif-{number}.{fmt.lower()}", data, np.asarray(scene()), JPEG_OFF)


def bombs() -> Iterator[Hostile]:
    """Small files that claim to be huge, or are made to take long."""
    for side in (9_000, 100_000, 2**31 - 1):
        yield Hostile(f"claims-{side}.png", png(side, side, bytes(100)), REFUSED)
    for side in (9_000, 30_000, 2**31 - 1):
        small = encoded(Image.new("1", (8, 8)), "BMP")
        yield Hostile(f"claims-{side}.bmp", small[:18] + struct.pack("<ii", side, side) + small[26:], REFUSED)
    for side in (9_000, 99_999):
        yield Hostile(f"claims-{side}.ppm", b"P6 %d %d 255\n" % (side, side) + bytes(100), REFUSED)
        small = encoded(Image.new("RGB", (8, 8)), "TIFF")
        for tag in (256, 257):
            at = next(i for kind in (3, 4) if (i := small.find(struct.pack("<HHI", tag, kind, 1))) >= 0)
            small = small[:at] + struct.pack("<HHII", tag, 4, 1, side) + small[at + 12 :]
        yield Hostile(f"claims-{side}.tiff", small, REFUSED)
    small = encoded(Image.new("P", (8, 8)), "GIF")
    yield Hostile("claims.gif", small[:6] + struct.pack("<HH", 65535, 65535) + small[10:], REFUSED)
    small = encoded(Image.new("RGB", (8, 8)), "JPEG")
    at = small.index(b"\xff\xc0") + 5
    yield Hostile("claims.jpg", small[:at] + struct.pack(">HH", 65500, 65500) + small[at + 4 :], REFUSED)
    canvas = b"VP8X" + struct.pack("<II", 10, 16)[:4] + struct.pack("<I", 0) + (2**14 - 2).to_bytes(3, "little") * 2
    body = b"WEBP" + canvas + encoded(scene(), "WEBP")[12:]
    yield Hostile("claims.webp", b"RIFF" + struct.pack("<I", len(body)) + body, REFUSED)
    flat_jpeg = encoded(Image.new("RGB", (4000, 4000)), "JPEG", progressive=True)
    last = flat_jpeg[flat_jpeg.rindex(b"\xff\xda") : -2]
    yield Hostile("scans.jpg", flat_jpeg[:-2] + last * 500 + flat_jpeg[-2:], REFUSED)
    note = zlib.compress(bytes(100_000_000))
    yield Hostile("note.png", png(1, 1, bytes(4), 8, 2, chunk(b"zTXt", b"a\0\0" + note)), EITHER)
    yield Hostile("profile.png", png(1, 1, bytes(4), 8, 2, chunk(b"iCCP", b"a\0\0" + note)), EITHER)
    yield Hostile("is-huge.png", png(9_900, 10_000, bytes(10_000 * (1 + 9_900 // 8 + 1)), 1, 0), EITHER)
    yield Hostile("nothing.png", png(0, 5, b""), REFUSED)
    yield Hostile("nothing.gif", gif_of_size(0, 5), REFUSED)


def gif_of_size(width: int, height: int) -> bytes:
    data = encoded(Image.new("P", (8, 8)), "GIF")
    at = data.index(b",\0\0\0\0") + 5  # where the size of the one frame stands
    size = struct.pack("<HH", width, height)
    return data[:6] + size + data[10:at] + size + data[at + 4 :]


def heavy_bombs() -> Iterator[Hostile]:
    """Pictures just below the limit, in the modes and formats that take most time and memory. Making them is slow."""
    for mode, fmt in (("RGBA", "PNG"), ("LA", "PNG"), ("I;16", "PNG"), ("F", "TIFF"), ("CMYK", "JPEG")):
        options = {"compression": "tiff_deflate"} if fmt == "TIFF" else {}
        yield Hostile(
            f"is-huge-{mode.replace(';', '')}.{fmt}", encoded(Image.new(mode, (9_990, 10_000)), fmt, **options), EITHER
        )
    side = Image.new("RGB", (7_000, 7_000), RED)
    for fmt, options in (("WEBP", {"method": 0}), ("JPEG", {"progressive": True, "subsampling": 0})):
        yield Hostile(f"is-huge.{fmt}", encoded(side, fmt, **options), EITHER)


def lines() -> Iterator[Hostile]:
    """Pictures that are one pixel wide or high."""
    for n in (1, 2, 7, 999, 16_000, 65_000):
        for size in {(1, n): None, (n, 1): None}:
            for fmt in ("PNG", "JPEG", "TIFF", "WEBP")[: 4 if n < 16_384 else 3]:
                data = encoded(Image.new("RGB", size, RED), fmt, **FORMATS[fmt])
                yield Hostile(f"line-{size[0]}x{size[1]}.{fmt.lower()}", data, flat(RED, *size), 6)


def flipped() -> Iterator[Hostile]:
    """Files in which one byte is changed, at a random place."""
    rng = np.random.default_rng(1)
    for fmt, options in FORMATS.items():
        data = encoded(scene(), fmt, **options)
        for number in range(10):
            changed = bytearray(data)
            changed[rng.integers(len(data))] ^= rng.integers(1, 256)
            yield Hostile(f"flipped-{number}.{fmt.lower()}", bytes(changed), EITHER)


FAMILIES = (truncated, misnamed, many_frames, deep, colors, orientations, bombs, lines, flipped)
