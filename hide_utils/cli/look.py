"""One picture from the terminal: `hide look picture.jpg "What color is the bag?" --options red blue`.

Prints the answers with and without HiDe, the regions, and what has to be known of them. Writes every stage into a
folder: the figure, the boxes with the answer as JSON, the maps as an array, both pictures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hide_utils.images import read_image
from hide_utils.scoring import PROTOCOLS


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; see ``--help``.

    Returns:
        0; 2 where something given cannot be used, which a line on stderr names.
    """
    parser = _parser()
    args = parser.parse_args(argv)
    if len(args.options or "ab") < 2:
        parser.error("one option is no choice: give 2 to 26 --options, or none for a free answer")
    out = args.out or Path(f"look-{args.picture.stem}")
    try:
        picture = read_image(args.picture)  # before what is slow to import
    except (ValueError, OSError) as error:
        return _refused(error)
    from torch import OutOfMemoryError

    from hide_utils.method import HiDe
    from hide_utils.models import load_model

    try:
        model = load_model(args.model, device=args.device, dtype=args.dtype, max_pixels=args.max_pixels)
        hide = HiDe(model, args.layer, args.sigma, args.alpha, protocol=args.protocol)
        result = hide(picture, args.question, args.options, args.entities)
        files = result.save(out)
    except (ValueError, OSError, OutOfMemoryError) as error:
        return _refused(error)
    print(result)
    print("boxes    ", *result.boxes, *([] if result.boxes else ["none"]))
    print(f"written   {', '.join(file.name for file in files)} in {out}")
    return 0


def _refused(error: Exception) -> int:
    print(f"hide look: {error}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hide look", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("picture", type=Path, help="path of the picture")
    parser.add_argument("question", help="in quotes")
    parser.add_argument("--options", nargs="+", metavar="TEXT", help="2 to 26, without letters; none: a free answer")
    parser.add_argument("--entities", nargs="+", metavar="NAME", help="what to look for; none: the model lists it")
    parser.add_argument("--model", default="mini", help='"mini" (the default), a local folder, or a hub id')
    parser.add_argument("--layer", type=int, help="decoder layer, counted from 0; none: the model's own")
    parser.add_argument("--sigma", type=float, help="smoothing in grid cells; none: the model's own")
    parser.add_argument("--alpha", type=float, help="threshold on maps, in (0, 1]; none: the model's own")
    parser.add_argument("--protocol", default="strict", choices=list(PROTOCOLS), help="how a letter is read")
    parser.add_argument("--max-pixels", type=int, help="most pixels of a picture, as for load_model")
    parser.add_argument("--device", help="cuda, mps, cpu, or auto to spread the model; the best one where left out")
    parser.add_argument("--dtype", help="float32, bfloat16, float16; what suits the device where left out")
    parser.add_argument("--out", type=Path, help="folder to write to; look-PICTURE where left out")
    return parser
