"""Read every hostile picture in a process of its own that is held to one gigabyte.

    PYTHONPATH=tests python -m faults.read_pictures FOLDER [heavy]

writes each file there for as long as it is read, and prints JSON: a list of `verdict`.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from faults.pictures import FAMILIES, REFUSED, Case, heavy_bombs
from hide_utils.images import ImageError, read_image, upright_size

SECONDS, BYTES = 2, 1_000_000_000  # of this process's time, and beyond what it takes before it reads anything


def verdict(path: Path, case: Case) -> dict[str, str | float | bool]:
    """Read one file; `said` is what came of it, `ok` whether that is what was wanted, in time, with a clear message."""
    by_pixels = isinstance(case.wanted, np.ndarray)
    refusal = not by_pixels and case.wanted == REFUSED
    started = time.process_time()
    try:
        picture = read_image(path)
        said = f"read {picture.width}x{picture.height}"
        ok = not refusal and picture.mode == "RGB" and upright_size(path) == picture.size
        if ok and by_pixels:
            pixels = np.asarray(picture, np.int16)
            off = np.abs(pixels - case.wanted).max() if pixels.shape == case.wanted.shape else "its size"
            said, ok = f"{said}, off by {off}", off != "its size" and off <= case.tolerance
    except ImageError as error:
        said, ok = f"refused: {error}", not by_pixels and str(error).startswith(str(path))
    except Exception as error:  # anything else would end a run of thousands, or say nothing to its reader
        said, ok = f"{type(error).__name__}: {error}", False
    seconds = time.process_time() - started
    return {"name": case.name, "said": said, "seconds": round(seconds, 3), "ok": bool(ok and seconds <= SECONDS)}


def main(folder: Path, heavy: bool) -> None:
    """Print the verdicts on all cases, with the heavy ones where asked for."""
    warnings.simplefilter("ignore")  # Pillow warns of damaged EXIF
    cases = [case for family in (*FAMILIES, *([heavy_bombs] if heavy else [])) for case in family()]
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + BYTES, resource.RLIM_INFINITY))
    verdicts = []
    for number, case in enumerate(cases):
        path = folder / f"{number}-{case.name}"
        path.write_bytes(case.data)
        verdicts.append(verdict(path, case))
        path.unlink()
    print(json.dumps(verdicts))


if __name__ == "__main__":
    main(Path(sys.argv[1]), "heavy" in sys.argv[2:])
