"""What the explorer asks the model: answers, with the attention of every token that was read or written for them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from PIL import Image

from hide_utils import paths
from hide_utils.analyses.explorer import ExplorerConfig
from hide_utils.explorer.case import Answer, Case, Knobs, TokenRows, View
from hide_utils.images import composite_on_white, pad_to_aspect
from hide_utils.method import HiDe, Session, read_letter
from hide_utils.models import Reply
from hide_utils.scoring import probabilities


def ask_model(hide: HiDe, case: Case, knobs: Knobs, view: View) -> None:
    """Have the model answer with and without the view's second picture, and keep both answers in `case.answers`.

    The direct answer is asked for once in a case. Without a region it also stands for the other, as in the method.
    """
    if None not in case.answers:
        case.answers[None] = _read(hide, case, None, "direct")
    if view.compact is None:
        case.answers[knobs] = case.answers[None]
    else:
        case.answers[knobs] = _read(hide, case, composite_on_white(view.compact), "answer")


def _read(hide: HiDe, case: Case, second: Image.Image | None, step: str) -> Answer:
    reply = case.session.answer(case.question, case.options, second, step, case.style)
    letter = read_letter(hide.model, reply, case.options, hide.protocol)
    shares = probabilities(hide.model.letter_logits(reply, len(case.options))) if case.options else {}
    text = case.session.prompts.for_answer(case.question, case.options, case.style)
    asked, said = token_rows(case.session, text, reply, second, case.attention.layers)
    return Answer(reply.text, letter, shares, case.session.seconds[step], asked, said)


def token_rows(
    session: Session, text: str, reply: Reply, second: Image.Image | None, layers: Sequence[int]
) -> tuple[TokenRows, TokenRows]:
    """Attention to a session's picture of what was asked and of what was replied, in one pass over both.

    A token of the prompt has the row of its own place. A token of the reply has that of the place before it, which is
    where the step ran that wrote it: the same rows as in decoding, since no token sees a later one.

    Args:
        session: about one picture.
        text: that was asked.
        reply: to it.
        second: picture that stood behind the session's own; None where there was none.
        layers: decoder layers, counted from 0.
    """
    model = session.model
    pictures, prefix = session.prefill()
    with session.timed("reading"):
        if second is not None:
            fitting = pad_to_aspect(second, model.max_aspect) if model.max_aspect else second
            pictures = (*pictures, model.prepare(fitting, session.second_pixels))
        prompt = model.prompt(*pictures, text)
        written = torch.tensor(reply.ids[:-1], dtype=prompt.ids.dtype)
        behind = prompt.position_ids[:, -1:] + 1 + torch.arange(len(written))
        ids, positions = torch.cat([prompt.ids, written]), torch.cat([prompt.position_ids, behind], dim=1)
        (span,) = prompt.texts
        writing = range(len(prompt) - 1, len(prompt) - 1 + len(reply.ids))
        asked = range(span.start, span.stop)
        whole = replace(prompt, ids=ids, position_ids=positions)
        maps = model.capture(whole, [*asked, *writing], layers, prefix).maps[0]
    words = tuple(span.text[slice(*span.offsets[place - span.start])] for place in asked)
    pieces = tuple(model.decode([token]) for token in reply.ids)
    return TokenRows(words, maps[:, : len(words)]), TokenRows(pieces, maps[:, len(words) :])


def command_line(config: ExplorerConfig, case: Case, knobs: Knobs) -> str:
    """The command that runs the notebook of `config` so that it first shows a case under these settings."""
    values = config.model_dump(mode="json")
    asked = ("model", "revision", "benchmark", "split", "resolution", "n", "seed", "max_pixels", "protocol")
    given: dict[str, Any] = {name: values.get(name) for name in asked}
    if case.path:
        given["image"] = paths.portable(case.path) if case.path.is_relative_to(paths.ROOT) else case.path
    else:
        given["sample"] = case.name
    if case.sample is None:
        given["question"], given["options"] = case.question, case.options
    if case.entities.source == "given":
        given["entities"] = case.entities.names
    given.update(asdict(knobs))
    given["own_boxes"] = [list(box) for box in knobs.own_boxes]
    texts = {name: str(list(value) if isinstance(value, tuple) else value) for name, value in given.items()}
    words = [word for name, text in texts.items() if given[name] is not None for word in ("-p", name, text)]
    return shlex.join(["hide", "run", config.notebook, *words])
