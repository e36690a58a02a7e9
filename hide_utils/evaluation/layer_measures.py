"""How well each layer's attention rows find what is asked about: the measures of one picture at all layers.

Two stand for localisation:

* The *worth* of a layer's regions, with which HiDe's own settings are chosen too: the share of true boxes of which the
  regions cover half, less the share of the picture that they keep. A map that looks everywhere has about 0.
* The *AUC* of a row: how probable it is that a cell inside the true boxes gets more attention than one outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from hide_utils.evaluation import localisation
from hide_utils.method import HiDe, Session, given_entities, tad
from hide_utils.samples import Sample

ALPHAS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
WORDS = ("noun", "with", "value", "property")  # of an entity in canonical form, as in "house with cyan color"


def measure_layers(
    hide: HiDe, session: Session, sample: Sample, layers: Sequence[int], sigma: float, alphas: Sequence[float] = ALPHAS
) -> dict[str, Any]:
    """How well each layer's rows find a sample's true boxes, for `hide_utils.evaluation.stored_measures`.

    Rows come from three prompts on one prefill: the search for the reference entities, the question itself, and, where
    the sample knows its things, the search for them in canonical form.

    Args:
        hide: the method. Its settings play no part.
        session: of the sample's picture.
        sample: with true boxes and reference entities.
        layers: counted from 0, ascending.
        sigma: of the Gaussian, in grid cells.
        alphas: thresholds of the regions.

    Returns:
        layers and alphas; ``worth_entity`` and ``worth_first``, worths of the regions at each layer and alpha; and at
        each layer ``auc_`` of entity, instruction, first and the `WORDS`, which are means over tokens and things. Those
        of words are None where the things are not known.

    Raises:
        ValueError: a sample has no true boxes, or no reference entities.
    """
    if not (sample.boxes_xyxy and sample.entities):
        raise ValueError(f"sample {sample.id} lacks true boxes or reference entities: take a benchmark that has them")
    found = session.search(given_entities(sample.entities), layers)
    asked = session.rows_of_last(hide.prompts.for_answer(sample.question, sample.options, sample.style), layers)
    size = session.image.size
    truth = np.array(sample.boxes_xyxy) / [*size, *size]
    entity = [found.maps(layer, sigma) for layer in layers]
    first = [tad.minmax(tad.smooth(asked[[number]], sigma)) for number in range(len(layers))]
    worths = {"entity": entity, "first": first}
    rows = {"entity": found.semantic, "instruction": found.noise, "first": asked[:, None]}
    aucs = {name: localisation.auc(of, truth).mean(1) for name, of in rows.items()} | _of_words(session, sample, layers)
    return {
        "layers": list(layers),
        "alphas": list(alphas),
        **{f"worth_{name}": [_worths(maps, sample, size, alphas) for maps in of] for name, of in worths.items()},
        **{f"auc_{name}": None if of is None else of.round(5).tolist() for name, of in aucs.items()},
    }


def _worths(
    maps: Float[np.ndarray, "tokens h w"], sample: Sample, size_wh: tuple[int, int], alphas: Sequence[float]
) -> list[float]:
    found = localisation.quality_at(maps, alphas, sample.boxes_xyxy, size_wh)
    return [round(quality["recall50"] - quality["area"], 5) for quality in found]


def _of_words(session: Session, sample: Sample, layers: Sequence[int]) -> dict[str, Any]:
    """The AUC of each of the `WORDS` against its own thing's box, by layer: the mean over the things asked about."""
    if sample.things is None:
        return dict.fromkeys(WORDS)
    things = sample.things[: len(sample.boxes_xyxy)]
    names = [f"{thing.noun} with {thing.color} color" for thing in things]
    found = session.search(given_entities(names), layers)
    places, width_height = word_places(found.tokens, names), np.array(session.image.size * 2)
    values = np.empty((len(things), len(WORDS), len(layers)))
    for thing, of_thing, into in zip(things, places, values, strict=True):
        box = np.array([thing.box_xyxy]) / width_height
        for number, tokens in enumerate(of_thing):
            into[number] = localisation.auc(found.semantic[:, tokens], box).mean(1)
    return dict(zip(WORDS, values.mean(0), strict=True))


def word_places(tokens: Sequence[str], names: Sequence[str]) -> list[list[list[int]]]:
    """Which tokens make up each word of each name.

    Args:
        tokens: texts of the tokens of all names, one behind the other.
        names: made of words.

    Raises:
        ValueError: the tokens do not spell the names.
    """
    found, at = [], 0
    for name in names:
        words = []
        for word in name.split():
            start, text = at, ""
            while len(text) < len(word) and at < len(tokens):
                text, at = text + tokens[at].strip(), at + 1
            if text != word:
                raise ValueError(f"the tokens {list(tokens)} do not spell {word!r} of {name!r}")
            words.append(list(range(start, at)))
        found.append(words)
    return found
