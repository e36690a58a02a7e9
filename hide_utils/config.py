"""A notebook's parameters cell becomes one frozen, checked configuration; presets lay other values over it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from hide_utils import paths
from hide_utils.scoring import PROTOCOLS

# Names of hide_utils.baselines.methods.METHODS, which a test compares: importing it here would load torch for every `--list`.
METHODS = (
    "direct", "hide", "oracle", "random",
    "direct_logits", "rel_att", "first_token", "hide_no_prior", "hide_gated", "tree_search",
)  # fmt: skip

Layer = Annotated[int, Field(ge=0)]
Sigma = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Alpha = Annotated[float, Field(gt=0, le=1)]
Pixels = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=1)]


def nearest(name: str, known: Iterable[str]) -> str:
    """Sentence that offers the known name nearest to `name`, or lists them all where none is near."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"


def load_preset(name: str | Path) -> dict[str, Any]:
    """Read `notebooks/presets/<name>.yaml`, or the YAML file at the path `name`.

    Raises FileNotFoundError naming the nearest preset, and ValueError where the file is no mapping of parameters
    (and of one mapping a notebook).
    """
    path = Path(name) if Path(name).suffix in {".yaml", ".yml"} else paths.PRESETS / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in paths.PRESETS.glob("*.yaml"))
        raise FileNotFoundError(f"no preset {str(name)!r}; {nearest(str(name), known)}")
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    if not isinstance(content, dict):
        raise ValueError(f"preset {name}: want a mapping of parameters, got {type(content).__name__}")
    for key, value in content.items():
        if not isinstance(value, dict) and key not in RunConfig.model_fields:
            raise ValueError(f"preset {name}: unknown parameter {key!r}; {nearest(str(key), RunConfig.model_fields)}")
    return content


def preset_values(preset: dict[str, Any], notebook: str, parameters: Iterable[str]) -> dict[str, Any]:
    """The part of a preset that applies to a notebook with these parameters.

    A top-level value holds for every notebook that has the parameter; a mapping under the notebook's name comes on
    top and must name parameters it has. Raises ValueError for one that it lacks.
    """
    parameters = list(parameters)
    section = preset.get(notebook) or {}
    for name in section:
        if name not in parameters:
            raise ValueError(f"preset: {notebook} has no parameter {name!r}; {nearest(name, parameters)}")
    return {name: preset[name] for name in parameters if name in preset} | section


class RunConfig(BaseModel):
    """What one run of a notebook is made of: typed, bounded, frozen; unknown names are refused with the nearest.

    None means: the default of the model (layer, sigma, alpha, pixels), of the machine (device, dtype, attention) or
    everything there is (n, split). Layers count from 0, sigma is in grid cells, alpha a threshold on maps in (0, 1],
    pixel budgets are pixels of one picture, a resolution is a picture's side in pixels. Notebook cells after the
    parameters cell read `cfg.n`, not `n`: with HIDE_PRESET set, that preset's values replace those of the cell.

    Raises pydantic.ValidationError (a ValueError) for unknown names and for values out of bounds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, protected_namespaces=())

    notebook: str = Field(pattern=r"^[\w-]+$")
    # what is run
    model: str = Field("mini", min_length=1)
    revision: str | None = None
    benchmark: str = Field("scenes", min_length=1)
    split: Literal["train", "calibration", "test"] | None = "test"
    resolution: Pixels | None = None
    n: Count | None = None
    seed: int = Field(0, ge=0)
    methods: Annotated[tuple[str, ...], Field(min_length=1)] = ("direct", "hide")
    protocol: str = "strict"
    # one sample, or one picture of the user's own
    sample: str | None = None
    image: Path | None = None
    question: str | None = None
    options: tuple[str, ...] | None = None
    entities: tuple[str, ...] | None = None
    # the method's settings
    layer: Layer | None = None
    sigma: Sigma | None = None
    alpha: Alpha | None = None
    noise_prior: bool = True
    tokens_off: tuple[Annotated[int, Field(ge=0)], ...] = ()
    layout: str = "spatial_aggregate"
    min_pixels: Pixels | None = None
    max_pixels: Pixels | None = None
    # grids and sizes of the analyses
    resolutions: tuple[Pixels, ...] = ()
    layers: tuple[Layer, ...] = ()
    sigmas: tuple[Sigma, ...] = ()
    alphas: tuple[Alpha, ...] = ()
    n_calibration: Count | None = None
    n_curve: Count | None = None
    baselines: tuple[str, ...] = ()
    n_baselines: Count | None = None
    # edits of the picture and factors of the scenes (notebook 01)
    upscale_factors: tuple[Annotated[float, Field(ge=1, le=8)], ...] = ()
    mask_steps: Count = 10
    canvas_steps: Count = 20
    fills: tuple[str, ...] = ()
    object_sizes: tuple[Pixels, ...] = ()
    picture_sizes: tuple[Pixels, ...] = ()
    clutters: tuple[Annotated[float, Field(ge=0, le=20)], ...] = ()
    n_distractors: Annotated[int, Field(ge=0)] | None = None
    distractors: tuple[Count, ...] = ()
    n_factorial: Count | None = None
    # corrupted boxes and the margin of non-inferiority, as shares; sides of enlarged boxes as factors (notebook 04)
    rates: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    growths: tuple[Annotated[float, Field(ge=1, le=100)], ...] = ()
    margin: Annotated[float, Field(gt=0, le=1)] = 0.05
    n_control: Count | None = None
    # time and memory (notebook 06)
    repeats: Count = 3
    n_questions: Count = 32
    memory_side: Pixels = 1120
    sizes: tuple[Literal["small", "middle", "large"], ...] = ("small", "middle", "large")
    # pictures of each set on which settings are chosen and judged (notebook 07)
    n_settings: Count | None = None
    # optimiser steps of a short rerun of the training study; 0 reads the committed one (notebook 10)
    rerun_steps: Annotated[int, Field(ge=0)] = 0
    # where and how
    engine: Literal["local", "processes", "ray"] = "local"
    workers: Count | None = None
    device: str | None = Field(None, pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    dtype: Literal["bfloat16", "float16", "float32", "float64"] | None = None
    attention: Literal["sdpa", "flash"] | None = None
    out: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _overlay_and_check_names(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        for name in values:
            if name not in cls.model_fields:
                raise ValueError(f"unknown parameter {name!r}; {nearest(name, cls.model_fields)}")
        preset, notebook = os.environ.get("HIDE_PRESET"), values.get("notebook")
        if not preset or not notebook:
            return values
        parameters = [name for name in values if name != "notebook"]
        return values | preset_values(load_preset(preset), notebook, parameters)

    @field_validator("methods", "baselines")
    @classmethod
    def _known_methods(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        for method in methods:
            if method not in METHODS:
                raise ValueError(f"unknown method {method!r}; {nearest(method, METHODS)}")
        if len(set(methods)) < len(methods):
            raise ValueError(f"want each method once, got {list(methods)}")
        return methods

    @field_validator("protocol")
    @classmethod
    def _known_protocol(cls, protocol: str) -> str:
        if protocol not in PROTOCOLS:
            raise ValueError(f"unknown protocol {protocol!r}; {nearest(protocol, PROTOCOLS)}")
        return protocol

    def parameters(self) -> dict[str, Any]:
        """Every value as plain JSON types, for provenance; of paths outside the repository the name alone."""
        values = self.model_dump(mode="json")
        for name in ("model", "benchmark", "image", "out"):
            if values[name] is not None:
                values[name] = paths.portable(values[name])
        return values
