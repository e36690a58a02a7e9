"""Read every hostile picture in a process of its own that is held to one gigabyte.

    PYTHONPATH=tests python -m faults.read_pictures FOLDER [heavy]

Each file is written to the folder, read and removed. The list of what `read_one` gives is printed as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from faults.pictures import FAMILIES, REFUSED, Hostile, heavy_bombs
from hide_utils.images import ImageError, read_image, upright_size

SECONDS = 2  # most CPU time of one file
BYTES = 1_000_000_000  # memory that reading may add to what the process takes before


def read_one(path: Path, hostile: Hostile) -> dict[str, str | float | bool]:
    """Read one file and say how that went.

    Returns:
        name, `said` (what came of it), `seconds` of CPU time, and `ok`: whether that is what was wanted, in time, and
        whether a refusal names the file.
    """
    by_pixels = isinstance(hostile.wanted, np.ndarray)
    refusal = not by_pixels and hostile.wanted == REFUSED
    started = time.process_time()
    try:
        picture = read_image(path)
        said = f"read {picture.width}x{picture.height}"
        ok = not refusal and picture.mode == "RGB" and upright_size(path) == picture.size
        if ok and by_pixels:
            pixels = np.asarray(picture, np.int16)
            off = np.abs(pixels - hostile.wanted).max() if pixels.shape == hostile.wanted.shape else "its size"
            said, ok = f"{said}, off by {off}", off != "its size" and off <= hostile.tolerance
    except ImageError as error:
        said, ok = f"refused: {error}", not by_pixels and str(error).startswith(str(path))
    except Exception as error:  # anything else would end a run of thousands, or say nothing to its reader
        said, ok = f"{type(error).__name__}: {error}", False
    seconds = time.process_time() - started
    return {"name": hostile.name, "said": said, "seconds": round(seconds, 3), "ok": bool(ok and seconds <= SECONDS)}


def main(folder: Path, heavy: bool) -> None:
    """Print how reading went for all files.

    heavy: whether the files of `heavy_bombs` are among them.
    """
    warnings.simplefilter("ignore")  # Pillow warns of damaged EXIF
    files = [hostile for family in (*FAMILIES, *([heavy_bombs] if heavy else [])) for hostile in family()]
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + BYTES, resource.RLIM_INFINITY))
    found = []
    for number, hostile in enumerate(files):
        path = folder / f"{number}-{hostile.name}"
        path.write_bytes(hostile.data)
        found.append(read_one(path, hostile))
        path.unlink()
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), "heavy" in sys.argv[2:])
