"""Opens cases: a benchmark's sample, one of the explorer's list, or the user's own picture and question."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from os import PathLike
from pathlib import Path

from PIL import Image

from hide_utils import paths
from hide_utils.analyses.explorer import ExplorerConfig
from hide_utils.evaluation.captured import RowCache
from hide_utils.explorer.case import Case
from hide_utils.explorer.sample_list import SampleList
from hide_utils.files import replace_file
from hide_utils.images import read_image
from hide_utils.method import Entities, HiDe, Session, checked_question, given_entities, the_only
from hide_utils.prompts import multiple_choice
from hide_utils.samples import Sample

Typed = tuple[str, list[str] | None, str]  # question, options and entities as the user typed them


def open_sample(hide: HiDe, sample: Sample, entities: Entities | None = None, cache: RowCache | None = None) -> Case:
    """A benchmark's sample as a case.

    Args:
        hide: the method, whose model searches.
        sample: of a benchmark.
        entities: what is searched for. None has the model list them for the question, in one prompt without a picture.
        cache: rows are read from it where they are there, and kept in it otherwise. None keeps them nowhere.
    """
    session = hide.open(sample.images)
    names = _entities(hide, session, sample.question, entities)
    if cache is None or names.source == "question":  # the cache knows rows by entities, not by a question's text
        attention = session.search(names, hide.model.row_layers)
    else:
        ((attention,), _) = cache.load(hide.model, [replace(sample, entities=list(names.names))], progress=False)
    return Case(
        sample.id,
        session,
        sample.question,
        sample.options or None,
        names,
        attention,
        style=sample.style,
        label=sample.label or None,
        boxes_xyxy=sample.boxes_xyxy,
        sample=sample,
    )


def open_own(
    hide: HiDe,
    image: str | PathLike | bytes | Image.Image,
    question: str,
    options: list[str] | None = None,
    entities: Entities | None = None,
    name: str | None = None,
    style: str = "letters",
) -> Case:
    """The user's own question about a picture as a case.

    Args:
        hide: the method, whose model searches.
        image: path, encoded bytes or a PIL picture.
        question: text without the options.
        options: 2 to 26 texts without their letters; None for a free answer.
        entities: what is searched for. None has the model list them for the question.
        name: what the picture is called. None takes the name of its file.
        style: wording of the prompt, a name in `hide_utils.prompts.STYLES`.

    Raises:
        FileNotFoundError: where there is no such picture.
        ValueError: for an empty question, a single option, and a picture that cannot be used.
    """
    question = checked_question(question)
    multiple_choice(question, options)  # refuses a single option before anything is run
    session = hide.open(image)
    names = _entities(hide, session, question, entities)
    path = Path(image) if isinstance(image, (str, PathLike)) else None
    name = name or (path.name if path else "own picture")
    attention = session.search(names, hide.model.row_layers)
    return Case(name, session, question, options, names, attention, style, path=path)


def keep_picture(name: str, content: bytes) -> Path:
    """Keep an uploaded picture in the cache, under a name made of its content and the suffix of `name`.

    Raises:
        ImageError: for what is no picture that can be used; it is not kept.
    """
    read_image(content)
    path = paths.CACHE / "pictures" / f"{hashlib.sha256(content).hexdigest()[:12]}{Path(name).suffix}"
    replace_file(path, lambda temporary: temporary.write_bytes(content))
    return path


def _entities(hide: HiDe, session: Session, question: str, entities: Entities | None) -> Entities:
    if entities is not None:
        return entities
    with session.timed("extract"):
        return hide.extractor(question)


def open_listed(
    hide: HiDe, listed: SampleList, sample_id: str, cache: RowCache | None = None, entities: Entities | None = None
) -> Case:
    """A sample of the list as a case.

    Args:
        hide: the method, whose model searches.
        listed: the samples.
        sample_id: of the one to open.
        cache: of rows; None reads and keeps none.
        entities: what is searched for. None takes those of the evaluation, or else has the model list them.

    Raises:
        ValueError: for an unknown id, with the nearest.
    """
    sample = listed.sample(sample_id)
    return open_sample(hide, sample, entities or listed.entities(sample), cache)


def open_first(hide: HiDe, listed: SampleList, config: ExplorerConfig, cache: RowCache | None = None) -> Case:
    """The case that a notebook's parameters name: their picture or their sample, with their question if they have one.

    Where they name neither, it is the sample that `SampleList.first` gives.

    Raises:
        FileNotFoundError: where there is no such picture.
        ValueError: for an unknown sample, with the nearest, for a picture without a question, for a single option, and
            for a picture that cannot be used.
    """
    entities = given_entities(list(config.entities)) if config.entities else None
    options = list(config.options) if config.options else None
    if config.image:
        return open_own(hide, config.image, config.question or "", options, entities)
    sample_id = config.sample or listed.first()
    if config.question:
        sample = listed.sample(sample_id)
        return open_own(hide, the_only(sample.images), config.question, options, entities, sample_id, sample.style)
    return open_listed(hide, listed, sample_id, cache, entities)


def open_typed(
    hide: HiDe, shown: Case, typed: Typed, upload: Path | None = None, cache: RowCache | None = None
) -> Case:
    """The question that the user typed as a case, about the uploaded picture or else the one that is shown.

    The question of the case that is shown keeps its entities. Where their field was cleared, and for any other
    question, the model lists them anew.

    Args:
        hide: the method, whose model searches.
        shown: the case that is shown.
        typed: question, options and entities. Without options the answer is free. Entities that differ from those that
            are shown are what is searched for.
        upload: path of the uploaded picture; None keeps the one that is shown.
        cache: of rows; None reads and keeps none.

    Raises:
        ValueError: for an empty question and for a single option.
    """
    question, options, entities = typed
    kept = shown.entities if upload is None and question == shown.question else None
    if entities != shown.entities.text:
        kept = given_entities(entities) if entities else None
    if upload is None and shown.sample and (question, options) == (shown.question, shown.options):
        return open_sample(hide, shown.sample, kept, cache)
    picture = upload or shown.path or shown.image
    like_shown = () if upload else (shown.name, shown.style)
    return open_own(hide, picture, question, options, kept, *like_shown)
