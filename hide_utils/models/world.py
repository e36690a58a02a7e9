"""The drawn world that a small model was trained on: what it can read, and what is said of answers about the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from PIL import Image

from hide_utils.images import WORLD

_NAMED = 8  # words that a note names at most


@dataclass(frozen=True)
class World:
    """All that a model can read, as ``world`` in its folder's hide.json says.

    Attributes:
        name: of the benchmark that draws its pictures, as `load_benchmark` takes it.
        about: what these are, in words.
        words: that its questions and entities consist of, in lower case.
    """

    name: str
    about: str
    words: frozenset[str]

    @classmethod
    def of_record(cls, record: Any) -> World:
        """A world from JSON types.

        Raises:
            ValueError: the record is not made of name, about and words, the last with spaces between them.
        """
        texts = dict.fromkeys(("name", "about", "words"), str)
        if not isinstance(record, dict) or {key: type(value) for key, value in record.items()} != texts:
            raise ValueError(f"world must hold the texts {', '.join(texts)} and nothing else")
        return cls(record["name"], record["about"], frozenset(record["words"].lower().split()))

    def notes(self, picture: Image.Image, text: str) -> tuple[str, ...]:
        """Why what the model says may mean nothing; empty within its world.

        Args:
            picture: that is asked about. One that the benchmark drew carries its name.
            text: the entities, in any form.
        """
        found, words = [], re.findall(r"\w+", text.lower())
        if picture.info.get(WORLD) != self.name:
            found.append(
                f'this model reads only {self.about} (load_benchmark("{self.name}")), and the picture is not known to '
                "be one; what it says of another picture means nothing"
            )
        if strange := [repr(word) for word in dict.fromkeys(words) if word not in self.words]:
            more = f" and {len(strange) - _NAMED} more" if len(strange) > _NAMED else ""
            named = ", ".join(strange[:_NAMED])
            found.append(f"this model never learned {named}{more}: it was trained on {self.about}")
        return tuple(found)
