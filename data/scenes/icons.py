"""Writes the icons of the drawn world, once: ``python data/scenes/icons.py FOLDER``.

They come from Font Awesome Free's font, as the pip package ``fontawesomefree`` ships it. FOLDER is where
``pip install --no-deps --target FOLDER fontawesomefree==6.6.0`` put it. The file that this writes is committed, and
scenes are drawn from it alone. Another version of FreeType may round a few pixels in another way.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hide_utils.scenes.world import FOLDER, ICONS

VERSION = "6.6.0"
SIDE = 256  # longer side of a mask in pixels
LARGEST_FILE = 2_000_000


def read_icons(folder: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Masks of icons, by Font Awesome's names.

    Args:
        folder: where the pip package was installed.
        names: of solid icons.

    Raises:
        FileNotFoundError: where the package, of this version, is not in the folder.
        ValueError: for a name that the font does not have.
    """
    if not (folder / f"fontawesomefree-{VERSION}.dist-info").is_dir():
        command = f"pip install --no-deps --target {folder} fontawesomefree=={VERSION}"
        raise FileNotFoundError(f"{folder} does not hold fontawesomefree {VERSION}: {command}")
    static = folder / "fontawesomefree" / "static" / "fontawesomefree"
    known = json.loads((static / "metadata" / "icons.json").read_text(encoding="utf-8"))
    if lacking := sorted(set(names) - set(known)):
        raise ValueError(f"Font Awesome {VERSION} has no icons {', '.join(lacking)}")
    font = ImageFont.truetype(static / "webfonts" / "fa-solid-900.ttf", SIDE)
    return {name: _mask(font, chr(int(known[name]["unicode"], 16))) for name in names}


def _mask(font: ImageFont.FreeTypeFont, letter: str) -> np.ndarray:
    """A glyph as uint8 (h, w), cut to its extent and scaled to `SIDE`."""
    x0, y0, x1, y1 = (int(v) for v in font.getbbox(letter))
    glyph = Image.new("L", (x1 - x0, y1 - y0))
    ImageDraw.Draw(glyph).text((-x0, -y0), letter, font=font, fill=255)
    glyph = glyph.crop(glyph.getbbox())
    scale = SIDE / max(glyph.size)
    width, height = (max(1, round(side * scale)) for side in glyph.size)
    return np.asarray(glyph.resize((width, height), Image.Resampling.LANCZOS))


def main(argv: list[str] | None = None) -> None:
    """Read the icons of the nouns and those in ``unnamed.txt``, and write ``icons.npz``."""
    parser = argparse.ArgumentParser(description="Write the icons of the drawn world.")
    parser.add_argument("folder", type=Path, help=f"where fontawesomefree=={VERSION} was installed with pip --target")
    parser.add_argument("--out", type=Path, default=FOLDER / "icons.npz")
    args = parser.parse_args(argv)
    unnamed = (FOLDER / "unnamed.txt").read_text(encoding="utf-8").split()
    icons = read_icons(args.folder, [*ICONS.values(), *unnamed])
    np.savez_compressed(args.out, **icons)  # type: ignore[arg-type]  # no icon is named as an argument of savez
    size = args.out.stat().st_size
    print(f"{args.out.name}: {len(icons)} icons, {size:,} bytes, 8 bits a pixel as the font was rendered")
    if size > LARGEST_FILE:
        raise SystemExit(f"{args.out} has {size:,} bytes, which is more than {LARGEST_FILE:,}")


if __name__ == "__main__":
    main()
