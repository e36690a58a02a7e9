"""The study of diets (`hide_utils.mini.diets`): train, answer, and pack what notebook 10 reads.

``python -m hide_utils.mini.study train STUDY --seed 0 --workers 4`` trains the three diets of a seed, ``answer STUDY``
answers test questions with every model in the folder and with the shipped one, and ``pack STUDY --to data/study`` joins
rows and logs. Processes of one seed each can train at the same time, and ``--share I/N`` splits the answering. On a
GPU the whole study takes some minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from hide_utils import paths
from hide_utils.evaluation import diet_study
from hide_utils.mini.diets import DIETS, DietSettings, learn


def _share(text: str) -> tuple[int, int]:
    i, _, n = text.partition("/")
    if not (i.isdigit() and n.isdigit() and int(i) < int(n)):
        raise argparse.ArgumentTypeError(f"{text!r}: want I/N with I from 0 to N - 1, such as 0/14")
    return int(i), int(n)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("train", "answer", "pack"))
    parser.add_argument("study", type=Path, help="folder of the study")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="default: the GPU where there is one")
    parser.add_argument("--seed", type=int, default=0, help="train: seed of scenes and order")
    parser.add_argument("--diets", nargs="+", choices=DIETS, default=DIETS, help="train: these alone")
    parser.add_argument("--steps", type=int, default=320, help="train: steps of every diet")
    parser.add_argument("--batch", type=int, default=16, help="train: scenes in a step")
    parser.add_argument("--workers", type=int, default=0, help="train: processes that draw scenes")
    parser.add_argument("--n", type=int, default=400, help="answer: test scenes of each difficulty")
    parser.add_argument("--share", type=_share, default=(0, 1), metavar="I/N", help="answer: one of N shares")
    parser.add_argument("--to", type=Path, default=paths.STUDY, help="pack: folder that is written")
    args = parser.parse_args(argv)
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if args.task == "train":
        learn(DietSettings(args.study, args.seed, args.steps, args.batch, args.workers, device, args.diets))
    elif args.task == "answer":
        diet_study.answer(args.study, args.n, args.share, device)
    else:
        print("\n".join(paths.portable(path) for path in diet_study.pack(args.study, args.to)))


if __name__ == "__main__":
    main()
