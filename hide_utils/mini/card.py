"""Write the miniature's card from its logs and tables: ``python -m hide_utils.mini.card``.

Every number in the card is read from the files beside the weights and from the main table of notebook 05, so it cannot
say anything else than they do. The card's figures are drawn from the same files.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from safetensors import safe_open

from hide_utils import paths
from hide_utils.files import replace_file, write_text
from hide_utils.mini import figures
from hide_utils.mini.curriculum import TAUGHT
from hide_utils.mini.measure import LEAST_ABOVE_CHANCE, TARGETS, nearest
from hide_utils.plots import style
from hide_utils.scenes.world import COLORS, NOUNS, PHOTOGRAPHS

_TEXT = Path(__file__).with_suffix(".md")  # the card's words, with places for its numbers
MAIN = ("method", "n", "accuracy", "low", "high", "difference", "gained", "lost", "p_holm")  # of notebook 05's table
MEASURES = ("dense_noun", "dense_color", "letters_one_256", "letters_two_512")  # of the log, that the card shows


def markdown(table: pd.DataFrame) -> str:
    """A table as Markdown, numbers with at most three significant digits, missing ones empty."""
    cells = table.itertuples(index=False, name=None)
    rows = [["" if pd.isna(v) else f"{v:.3g}" if isinstance(v, float) else str(v) for v in row] for row in cells]
    return "\n".join(f"| {' | '.join(row)} |" for row in [list(table.columns), ["---"] * len(table.columns), *rows])


def runs_table(log: pd.DataFrame) -> pd.DataFrame:
    """One row a run and lesson: where it ended, and the last of the measures that it has."""
    rows = []
    for (run, lesson), part in log.groupby(["run", "lesson"], sort=False):
        last = {name: part[name].dropna().iloc[-1] for name in MEASURES if part[name].notna().any()}
        end = part.iloc[-1]
        about = {"run": run, "lesson": lesson, "steps": int(end["step"]), "scenes": int(end["scenes"])}
        rows.append(about | {"minutes": end["seconds"] / 60} | last)
    return pd.DataFrame(rows, columns=["run", "lesson", "steps", "scenes", "minutes", *MEASURES])


def card(folder: Path = paths.MINI) -> str:
    """Text of the card of the checkpoint in ``folder``."""
    config, hide = (json.loads((folder / name).read_text()) for name in ("config.json", "hide.json"))
    table = {file.stem: pd.read_csv(file) for file in sorted(folder.glob("*.csv"))}
    with safe_open(folder / "model.safetensors", "np") as weights:
        shapes = [weights.get_slice(key).get_shape() for key in weights.keys()]  # noqa: SIM118 (not a mapping)
    text, vision = config["text_config"], config["vision_config"]
    main = pd.read_csv(paths.FIGURES / "05_benchmarks" / "main.csv")
    wide = table["attention"].pivot(index="layer", columns="part", values="concentration")
    return _TEXT.read_text(encoding="utf-8").format(
        parameters=sum(pd.Series(shape).prod() for shape in shapes),
        text=f"{text['num_hidden_layers']} decoder layers of width {text['hidden_size']}",
        vision=f"{vision['depth']} vision layers of width {vision['hidden_size']}",
        taught=markdown(pd.DataFrame(TAUGHT.items(), columns=["it was shown", "which means"])),
        nouns=len(NOUNS),
        colors=len(COLORS),
        photographs="; ".join(f"{split}: {', '.join(names)}" for split, names in PHOTOGRAPHS.items()),
        runs=markdown(runs_table(pd.read_json(folder / "training_log.jsonl", lines=True))),
        targets=", ".join(f"{share:.0%} ({name})" for name, share in TARGETS.items()),
        least_above=f"{100 * LEAST_ABOVE_CHANCE:.0f}",
        difficulties=", ".join(f"{name} {_point(nearest(table['difficulty'], name))}" for name in TARGETS),
        difficulty=markdown(table["difficulty"]),
        trials=markdown(table["trials"]),
        layer_from_1=hide["layer"] + 1,
        n_layers=text["num_hidden_layers"],
        n_calibration=hide["n"],
        **{name: hide[name] for name in ("layer", "sigma", "alpha")},
        calibration=markdown(table["calibration"]),
        attention=markdown(wide[list(figures.PARTS)].reset_index()),
        localisation=markdown(table["localisation"]),
        accuracy=markdown(main[list(MAIN)]),
        n_curve=table["accuracy"]["n"].min(),
        n_kind=table["accuracy"]["n"].min() // 2,
        extraction=markdown(table["extraction"]),
    )


def _point(chosen: dict[str, int]) -> str:
    return f"{chosen['resolution']} px with {chosen['unnamed']} unnamed objects per 65 536 px"


def main() -> None:
    """Write ``data/mini/README.md`` and its figures."""
    style.set_style()
    for name, draw in figures.FIGURES.items():
        fig = draw(pd.read_csv(paths.MINI / f"{name}.csv"))
        replace_file(paths.MINI / f"{name}.png", partial(fig.savefig, format="png", dpi=160))
        plt.close(fig)
    write_text(paths.MINI / "README.md", card())


if __name__ == "__main__":
    main()
