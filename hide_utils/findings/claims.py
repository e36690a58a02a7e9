"""What an analysis claims, read from the YAML file beside it, and the cards of claims about answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import yaml

from hide_utils.findings.card import Finding
from hide_utils.findings.evidence import of_answers
from hide_utils.findings.published import quoted
from hide_utils.stats.rows import outcomes

Claims: TypeAlias = dict[str, dict[str, Any]]  # claim -> what decides it, and the words of its card
_SHARED = "repeated"  # the group that only holds what others refer to


def claims_beside(module: str) -> dict[str, Claims]:
    """What a module claims, from the file that has its name and the ending ``.yaml``.

    The file has groups of claims. The words of a claim are what is compared ("method" and "against", for instance) and
    fields of `Finding`. A "paper" with an experiment and a text is `quoted` with the paper's numbers.

    Args:
        module: its ``__file__``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the paper reports no such number.
    """
    given = yaml.safe_load(Path(module).with_suffix(".yaml").read_text(encoding="utf-8"))
    return {
        group: {claim: _in_full(words) for claim, words in claims.items()}
        for group, claims in given.items()
        if group != _SHARED
    }


def _in_full(words: Mapping[str, Any]) -> dict[str, Any]:
    paper = words.get("paper", "")
    return {**words, "paper": quoted(**paper) if isinstance(paper, Mapping) else paper}


def cards_of(answers: pd.DataFrame, claims: Mapping[str, dict[str, Any]], names: Iterable[str] = ()) -> list[Finding]:
    """A card for each claim about answers. One is left out where a method answered nothing.

    Args:
        answers: rows of `evaluate`.
        claims: with the method of each, and against which.
        names: of those that are wanted. None takes all.
    """
    there = set(answers["method"][outcomes(answers).notna()])
    wanted = {name: claims[name] for name in [*names] or claims}
    answered = {name: words for name, words in wanted.items() if {words["method"], words["against"]} <= there}
    return [of_answers(answers, claim=name, **words) for name, words in answered.items()]


def compared(claims: Claims) -> list[str]:
    """The methods that claims about answers compare, each once."""
    return list(dict.fromkeys(words[side] for words in claims.values() for side in ("method", "against")))


def by_kind(answers: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each kind of question, by its name. Empty where there is one kind alone."""
    kinds = {str(kind).replace("_", " "): rows for kind, rows in answers.groupby("kind", sort=False)}
    return kinds if len(kinds) > 1 else {}
