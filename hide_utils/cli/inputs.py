"""A run's parameters, checked before a kernel starts: types, bounds, and what they name.

Every refusal says what would do, as the command line takes it, and names the preset that says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hide_utils.benchmarks.loading import SCENE_KNOBS, SOURCES, load_benchmark
from hide_utils.config import RunConfig, literal
from hide_utils.images import read_image
from hide_utils.models import VLM, load_model
from hide_utils.models.backends import choose_device
from hide_utils.models.loading import find_checkpoint
from hide_utils.samples import Sample

PATHS = ("image", "out", "model", "other_model", "benchmark")  # parameters that may name a file or folder
BENCHMARKS = ["scenes", *SOURCES, *(source.repo for source in SOURCES.values())]
NAMES = {"model": ["mini"], "other_model": ["mini"], "benchmark": BENCHMARKS}  # values of theirs that are no paths
EXAMPLES: dict[str, list] = {"integer": [5, 8], "number": [0.5, 0.7], "boolean": [True], "string": ["red", "blue"]}


def typed(kind: type[RunConfig] | None, name: str, text: str) -> Any:
    """A value of the command line: as Python writes it, but for a parameter that is text the text itself."""
    value, field = literal(text), kind.model_fields.get(name) if kind else None
    is_text = name in PATHS or (field and field.annotation in (str, str | None))
    return text if is_text and not isinstance(value, str | None) else value


def from_here(name: str, value: Any) -> Any:
    """A path as the caller's folder has it. Notebooks run in their own, where a relative path would lead elsewhere."""
    if name not in PATHS or not isinstance(value, str) or value in ("", *NAMES.get(name, ())):
        return value
    path = Path(value).expanduser()
    return str(path.resolve()) if path.exists() or name == "out" else value


def checked(
    kind: type[RunConfig], values: Mapping[str, Any], defaults: Mapping[str, Any], sources: Mapping[str, str]
) -> RunConfig:
    """The configuration that a notebook makes of its parameters.

    Args:
        kind: of the notebook.
        values: that replace those of its parameters cell.
        defaults: values of that cell.
        sources: what is said of a refused value, by parameter.

    Raises:
        ValueError: a value of the wrong type, out of bounds, or nothing without another; or what it names is of no use.
    """
    try:
        config = kind.from_cell({**defaults, **values}, preset="")
        if not (wrong := _useless(config, values.keys() - sources.keys())):
            return config
    except ValidationError as error:
        wrong = []
        for one in error.errors():
            said, context = one["msg"].removeprefix("Value error, "), one.get("ctx", {})
            name = context.get("given") or str((*one["loc"], "")[0])
            whole = f"{'.'.join(map(str, one['loc']))}: {said}, not {one['input']!r}" if one["loc"] else said
            wrong.append((name, context.get("wanted", name), whole))
    shown = {name: example(kind, name, defaults.get(name)) for _, name, _ in wrong if name}
    hints = {name: f'; for example -p {name} "{value}"' for name, value in shown.items()}
    lines = [f"{said}{sources.get(name, '')}{hints.get(wanted, '')}" for name, wanted, said in wrong]
    raise ValueError(f"{kind.model_fields['notebook'].default}: {'; '.join(lines)}")


def example(kind: type[RunConfig], name: str, default: Any) -> Any:
    """A value that a parameter takes: the notebook's own, else one of its type."""
    schema = kind.model_json_schema()["properties"][name]
    schema = schema.get("anyOf", [schema])[0] | schema  # behind it comes None
    items = schema.get("items", schema)
    values = items.get("enum") or items.get("examples") or EXAMPLES[items["type"]]
    return default or (values if "items" in schema else values[0])


def _useless(config: RunConfig, given: Collection[str]) -> list[tuple[str, str, str]]:
    """Parameters that name what is of no use, as far as a look takes a moment, as `checked` lists refusals.

    A number of questions that the benchmark lacks is refused among those `given` by hand. A preset's or the notebook's
    own may be meant for any benchmark, and `load_benchmark` warns.
    """
    looks: dict[str, Callable[[Any], Any]] = {
        "image": read_image,
        "model": lambda model: find_checkpoint(model, config.revision),
        "other_model": lambda model: find_checkpoint(model, None),
        "device": lambda device: device == "auto" or choose_device(device),
        "benchmark": _size,
        "resolution": lambda _: config.benchmark != "scenes" or draw(config, 1),
    }
    found, results = [], {}
    for name, look in looks.items():
        try:
            if value := getattr(config, name, None):
                results[name] = look(value)
        except (ValueError, OSError) as error:
            found.append((name, name, f"{name}: {str(error).rstrip('.')}"))
    if size := results.get("benchmark"):
        over = [(name, getattr(config, name)) for name in ("n", "n_calibration") if name in given]
        said = f"but {config.benchmark} has {size} questions; None takes all, for example -p"
        found += [(name, "", f"{name} = {n}, {said} {name} {size}") for name, n in over if n and n > size]
    return found


@cache
def _size(benchmark: str) -> int | None:
    """Number of a benchmark's questions, all splits together: the published one, or counted in a file or folder.

    None stands for the scenes, which have no end, and for ids of the hub.
    """
    return getattr(SOURCES.get(benchmark), "size", None) if benchmark in BENCHMARKS else len(load_benchmark(benchmark))


def draw(config: RunConfig, n: int | None) -> list[Sample]:
    """The first samples of a configuration's benchmark, drawn as its notebook draws them."""
    knobs = {name: getattr(config, name, None) for name in SCENE_KNOBS} if config.benchmark == "scenes" else {}
    return load_benchmark(config.benchmark, split=config.split, n=n, seed=config.seed, **knobs)


def asked(config: RunConfig) -> tuple[list[Sample], list[str]]:
    """A configuration's samples, and the methods that answer all of them: direct and HiDe where it lists none."""
    samples = draw(config, config.n)
    boxed = all(sample.boxes_xyxy for sample in samples)
    return samples, [name for name in getattr(config, "methods", ("direct", "hide")) if boxed or name != "oracle"]


def loaded(config: RunConfig) -> VLM:
    """A configuration's model, as its notebook loads it."""
    names = ("device", "dtype", "attention", "min_pixels", "max_pixels", "revision")
    return load_model(config.model, **{name: getattr(config, name) for name in names})
