"""A notebook's parameters, checked: the base that all notebooks share, and the preset files that change their values.

Each file of `hide_utils.analyses` has a subclass of `RunConfig` with its notebook's own parameters. A notebook turns
its parameters cell into one in a single line, ``cfg = LayersConfig.from_cell(globals())``.
"""

from __future__ import annotations

import ast
import difflib
import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from hide_utils import paths
from hide_utils.scoring import PROTOCOLS

Config = TypeVar("Config", bound="RunConfig")  # Self would do, but the check of annotations in tests refuses it

Layer = Annotated[int, Field(ge=0)]
Sigma = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Alpha = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=1)]
Margin = Annotated[float, Field(gt=0, le=1)]

_PLAIN = (type(None), bool, int, float, str, list, tuple, dict)  # what a parameters cell may give its names
_INJECTED = "# Parameters"  # the first line of the cell in which papermill gives its values


def nearest(name: str, known: Iterable[str]) -> str:
    """Sentence that offers the known name nearest to `name`, or lists them all where none is near."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"


def literal(text: str) -> Any:
    """A value given as text, on a command line say: the Python literal that it is, else the text itself.

    Tuples and sets become lists, the only kind of list that reaches a notebook; a set's in order of value.
    """
    try:
        return json.loads(json.dumps(ast.literal_eval(text), default=sorted))
    except (ValueError, SyntaxError, TypeError):
        return text


class _PresetLoader(yaml.SafeLoader):
    """YAML whose values without quotes are read as `literal` reads them, and in which no key stands twice.

    YAML's own rules would make a number of 010 or 12:30, a date of 2024-05-01, and true of yes.
    """

    yaml_implicit_resolvers = {}
    words = {"": "None", "~": "None", "null": "None", "true": "True", "false": "False"}  # as Python writes them

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = [key.value for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.MarkedYAMLError(problem=f"{twice[0]!r} stands twice; keep one", problem_mark=node.start_mark)
        return node

    def construct_yaml_str(self, node: yaml.ScalarNode) -> Any:
        text = self.construct_scalar(node)
        return text if node.style else literal(self.words.get(text.lower(), text))


_PresetLoader.add_constructor("tag:yaml.org,2002:str", _PresetLoader.construct_yaml_str)


def load_preset(name: str | Path, known: Iterable[str] | None = None) -> dict[str, Any]:
    """Read a preset file.

    Args:
        name: of a file in `notebooks/presets` without its ending, or the path of a YAML file.
        known: names of parameters that may stand at the top level. None: those of all notebooks of the project.

    Returns:
        The file's mapping: parameter -> value, and notebook -> its own mapping.

    Raises:
        FileNotFoundError: there is no such file. The message names the nearest preset.
        ValueError: the file is no YAML, has a key twice, is no mapping, or names a parameter that no notebook has.
    """
    path = paths.preset_file(name)
    if not path.is_file():
        presets = sorted(p.stem for p in paths.PRESETS.glob("*.yaml"))
        raise FileNotFoundError(f"no preset {str(name)!r}; {nearest(str(name), presets)}")
    try:
        with path.open("rb") as stream:
            content = _PresetLoader(stream).get_single_data() or {}
    except yaml.YAMLError as error:
        raise ValueError(f"preset {name}: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"preset {name}: want a mapping of parameters, got {type(content).__name__}")
    known = _every_parameter() if known is None else set(known)
    for key, value in content.items():
        if not isinstance(value, dict) and key not in known:
            raise ValueError(f"preset {name}: unknown parameter {key!r}; {nearest(str(key), sorted(known))}")
    return content


def preset_values(preset: Mapping[str, Any], notebook: str, parameters: Iterable[str]) -> dict[str, Any]:
    """The part of a preset that applies to a notebook with these parameters.

    A top-level value holds for every notebook that has the parameter. A mapping under the notebook's name comes on top.

    Raises:
        ValueError: the notebook's mapping names a parameter that the notebook lacks.
    """
    parameters = list(parameters)
    section = preset.get(notebook) or {}
    for name in section:
        if name not in parameters:
            raise ValueError(f"preset: {notebook} has no parameter {name!r}; {nearest(name, parameters)}")
    return {name: preset[name] for name in parameters if name in preset} | section


class RunConfig(BaseModel):
    """What one run of a notebook is made of: typed, bounded and frozen.

    None stands for a default: the model's own layer, sigma, alpha and pixels, the machine's device, dtype and
    attention, or all there is of n and split.

    Attributes:
        notebook: its file's name without the ending.
        model: "mini", a hub id or a folder. revision: of the hub's repository.
        benchmark: "scenes", a known name, or a file or folder.
        split: part of the benchmark; None: all of it; "auto": all of a file or folder, and else `USUAL_SPLIT`.
        resolution: side of drawn scenes in pixels.
        n: number of samples.
        seed: of the draw.
        protocol: how a letter is read off a reply, a name in `hide_utils.scoring.PROTOCOLS`.
        layer, sigma, alpha: decoder layer counted from 0, smoothing in grid cells, threshold on maps in (0, 1].
        min_pixels, max_pixels: bounds of one picture's pixels.
        engine, workers: where samples are answered, and by how many.
        device, dtype, attention: how the model runs.

    Raises:
        pydantic.ValidationError: a ValueError, for unknown names (with the nearest) and for values out of bounds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, protected_namespaces=())

    USUAL_SPLIT: ClassVar[str] = "test"

    notebook: str = Field(pattern=r"^[\w-]+$")
    model: str = Field("mini", min_length=1)
    revision: str | None = None
    benchmark: str = Field("scenes", min_length=1)
    split: Literal["auto", "train", "calibration", "test"] | None = "auto"
    resolution: Pixels | None = None
    n: Count | None = None
    seed: int = Field(0, ge=0)
    protocol: str = "strict"
    layer: Layer | None = None
    sigma: Sigma | None = None
    alpha: Alpha | None = None
    min_pixels: Pixels | None = None
    max_pixels: Pixels | None = None
    engine: Literal["local", "processes", "ray"] = "local"
    workers: Count | None = None
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", examples=["cpu"])] | None = None
    dtype: Literal["bfloat16", "float16", "float32", "float64"] | None = None
    attention: Literal["sdpa", "flash"] | None = None

    @classmethod
    def from_cell(cls: type[Config], namespace: Mapping[str, Any], preset: str | None = None) -> Config:
        """The configuration that a parameters cell describes.

        Notebook cells after it read `cfg.n`, not `n`, because a preset may have replaced the cell's value.

        Args:
            namespace: the notebook's ``globals()``, or a plain mapping of parameter -> value.
            preset: name of a preset whose values replace the cell's. None: the one that HIDE_PRESET names, if any.

        Raises:
            ValueError: the cell, papermill or the preset names a parameter that the notebook lacks, or gives a value of
                the wrong type or out of bounds.
        """
        values = {name: namespace[name] for name in _assigned(namespace, cls.model_fields)}
        preset = os.environ.get("HIDE_PRESET") if preset is None else preset
        if preset:
            values |= preset_values(load_preset(preset), cls.model_fields["notebook"].default, values)
        return cls(**values)

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, values: Any) -> Any:
        for name in values if isinstance(values, dict) else ():
            if name not in cls.model_fields:
                raise ValueError(f"unknown parameter {name!r}; {nearest(name, cls.model_fields)}")
        return values

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth(cls, value: Any, info: Any) -> Any:
        """Python counts True as 1, so that a layer of True would be layer 1."""
        parts = value if isinstance(value, (list, tuple)) else [value]
        if bool in map(type, parts) and cls.model_fields[info.field_name].annotation is not bool:
            raise ValueError("Input should be something other than true or false")
        return value

    @field_validator("split")
    @classmethod
    def _all_of_ones_own(cls, split: str | None, info: Any) -> str | None:
        own = paths.is_own(info.data.get("benchmark", ""))
        return split if split != "auto" else None if own else cls.USUAL_SPLIT

    @field_validator("protocol")
    @classmethod
    def _known_protocol(cls, protocol: str) -> str:
        if protocol not in PROTOCOLS:
            raise ValueError(f"unknown protocol {protocol!r}; {nearest(protocol, PROTOCOLS)}")
        return protocol

    def parameters(self) -> dict[str, Any]:
        """Every value as plain JSON types, for provenance. Of a path outside the repository the name alone is kept."""
        values = self.model_dump(mode="json")
        named = [name for name in ("model", "other_model", "benchmark", "image", "out") if values.get(name) is not None]
        return values | {name: paths.portable(values[name]) for name in named}


class OwnPicture(BaseModel):
    """Parameters of a notebook that takes a picture of one's own, which come beside those of `RunConfig`.

    Attributes:
        image: path of the picture. None takes a sample of the benchmark.
        question, options: about that picture.
        entities: what to look for. None has the model list it.
        NEEDS: parameters that mean nothing without another, each with that one.
    """

    NEEDS: ClassVar[dict[str, str]] = {"image": "question", "options": "question"}

    image: Path | None = Field(None, examples=["photo.jpg"])
    question: str | None = Field(None, examples=["What color is the bag?"])
    options: Annotated[tuple[str, ...], Field(min_length=2, max_length=26)] | None = None
    entities: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _check_pairs(self) -> OwnPicture:
        blank = {name for name in ("image", "question", "options") if not str(getattr(self, name) or "").strip()}
        for given, wanted in self.NEEDS.items():
            if given not in blank and wanted in blank:
                pair = {"given": given, "wanted": wanted}
                raise PydanticCustomError("pair", "{given} needs {wanted} beside it", pair)
        return self


def _assigned(namespace: Mapping[str, Any], known: Iterable[str]) -> list[str]:
    """Names of the parameters in a notebook's namespace, those that it should not have among them.

    IPython keeps the source of every cell that ran under ``In``. A cell of parameters does nothing but give names plain
    values, and is papermill's or gives a known name a value. Unknown names count where the last such cell, or
    papermill's, has them: in JupyterLab a cell whose mistake was mended must not be held against the user. A namespace
    without ``In`` is a mapping of parameters.

    nbval runs cells without keeping their source. Then parameters of any notebook count that have plain values.
    """
    if "In" not in namespace:
        return list(namespace)
    known, cells = set(known), [(source, _plain_assignments(source)) for source in namespace["In"]]
    cells = [(source, given) for source, given in cells if source.startswith(_INJECTED) or known & set(given)]
    if not cells:
        names = known | _every_parameter()
        return [name for name in names if name in namespace and isinstance(namespace[name], _PLAIN)]
    order = {name: None for _, given in cells for name in given if name in known}
    for _, given in cells[-1:] + [cell for cell in cells if cell[0].startswith(_INJECTED)]:
        order |= dict.fromkeys(given)
    return [name for name in order if name in namespace]


def _plain_assignments(source: str) -> list[str]:
    """Names that a cell gives literal values, where it does nothing else. Empty for any other cell."""
    try:
        body = ast.parse(source).body
        for node in body:
            ast.literal_eval(node.value)  # type: ignore[attr-defined]  # a node without a value raises as below
        return [node.targets[0].id for node in body]  # type: ignore[attr-defined]
    except (SyntaxError, ValueError, AttributeError, TypeError):
        return []


@cache
def _every_parameter() -> set[str]:
    """Names that the parameters cells of the project's notebooks give values to."""
    books = [json.loads(path.read_text(encoding="utf-8")) for path in paths.NOTEBOOKS.glob("[0-9]*.ipynb")]
    cells = [cell for book in books for cell in book["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    return {name for cell in cells for name in _plain_assignments("".join(cell["source"]))}
