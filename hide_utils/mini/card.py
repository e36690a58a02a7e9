"""Write the miniature's card from its logs and tables: ``python -m hide_utils.mini.card``.

Every number in the card is read from ``training_log.jsonl``, ``hide.json``, ``calibration.csv`` and the tables that
notebook 05 saved, so it cannot say anything else than they do.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from safetensors import safe_open

from hide_utils import paths
from hide_utils.files import write_text
from hide_utils.mini.batches import Stage
from hide_utils.mini.curriculum import STAGES
from hide_utils.scenes.world import PHOTOGRAPHS

_TEXT = Path(__file__).with_suffix(".md")  # the card's words, with places for its numbers
_RULE = (
    "of the settings with the best boxes on {n} calibration scenes ({sides} px; by recall minus area and by IoU, in "
    "turn), the first within one standard error of the highest answer accuracy there."
)


def _markdown(table: pd.DataFrame) -> str:
    """A table as Markdown, numbers with at most four significant digits."""
    rows = [[f"{v:.4g}" if isinstance(v, float) else str(v) for v in row] for row in table.itertuples(index=False)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [list(table.columns), ["---"] * len(table.columns), *rows])


def _stages(log: pd.DataFrame) -> pd.DataFrame:
    """One row a stage: its schedule and the last line of its log."""
    by_name: dict[str, Stage] = {stage.name: stage for stage in STAGES}
    rows = []
    for name, part in log.groupby("stage", sort=False):
        last, stage = part.iloc[-1].dropna(), by_name[name]
        measures = {k: v for k, v in last.items() if k not in ("stage", "step", "seconds")}
        rows.append(
            {
                "stage": name,
                "steps": last["step"],
                "of": stage.steps,
                "scenes a step": stage.batch,
                "peak rate": stage.lr,
            }
            | {
                "minutes": round(last["seconds"] / 60, 1),
                "measures": ", ".join(f"{k} {v:.3f}" for k, v in measures.items()),
            }
        )
    return pd.DataFrame(rows)


def _accuracy(*files: Path) -> str:
    found = [_markdown(pd.read_csv(file)) for file in files if file.is_file()]
    return "\n\n".join(found) or "Not measured yet: run `python -m hide_utils.mini.measure` and notebook 05."


def card(folder: Path = paths.MINI) -> str:
    """Text of the card of the checkpoint in ``folder``."""
    config, hide = (json.loads((folder / name).read_text()) for name in ("config.json", "hide.json"))
    log = pd.read_json(folder / "training_log.jsonl", lines=True)
    with safe_open(folder / "model.safetensors", "np") as weights:
        shapes = [weights.get_slice(key).get_shape() for key in weights.keys()]  # noqa: SIM118 (not a mapping)
    text, vision = config["text_config"], config["vision_config"]
    stages, notebook = _stages(log), paths.FIGURES / "05_benchmarks"
    shares = [stage.two_pictures for stage in STAGES if stage.two_pictures]
    return _TEXT.read_text(encoding="utf-8").format(
        parameters=sum(pd.Series(shape).prod() for shape in shapes),
        text=f"{text['num_hidden_layers']} decoder layers of width {text['hidden_size']}",
        vision=f"{vision['depth']} vision layers of width {vision['hidden_size']}",
        photographs="; ".join(f"{split}: {', '.join(names)}" for split, names in PHOTOGRAPHS.items()),
        two=" to ".join(f"{share:.0%}" for share in (min(shares), max(shares))),
        stages=_markdown(stages),
        zoomed=" and ".join(f"`{stage.name}`" for stage in STAGES if stage.zoomed),
        seed=0,
        hours=stages["minutes"].sum() / 60,
        layer=hide["layer"],
        sigma=hide["sigma"],
        alpha=hide["alpha"],
        rule=_RULE.format(n=hide["n"], sides=" and ".join(map(str, hide["resolution"]))),
        calibration=_markdown(pd.read_csv(folder / "calibration.csv")),
        accuracy=_accuracy(
            folder / "accuracy.csv", *(notebook / f"{name}.csv" for name in ("comparison", "resolution"))
        ),
    )


def main() -> None:
    """Write ``data/mini/README.md``."""
    text = card()
    write_text(paths.MINI / "README.md", text)


if __name__ == "__main__":
    main()
