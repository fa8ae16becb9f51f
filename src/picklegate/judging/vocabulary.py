"""What is known of names: in how many honest projects each occurs, and what the words in it weigh."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from picklegate.errors import ModelDataError
from picklegate.judging import callables, model_files

_TOKENS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_CLOSED_SET = 5
"""Honest projects that a serialiser's helper or a plain data constructor counts as seen in at least."""


def tokens(name: str) -> tuple[str, ...]:
    """The words that a dotted name is made of, in lower case."""
    return tuple(word.lower() for word in _TOKENS.findall(name))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Vocabulary:
    """The reputation of names: in how many honest projects each occurs, and what name words weigh.

    ``weights`` are log-odds of a word in hostile against honest callee names.
    """

    callees: Mapping[str, int]
    text_callees: Mapping[str, int]
    modules: Mapping[str, int]
    roots: Mapping[str, int]
    weights: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, names sorted."""
        return {name: dict(sorted(getattr(self, name).items())) for name in self.__slots__}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Vocabulary:
        """From the JSON form; raises ModelDataError where a part is missing."""
        try:
            return cls(**{name: data[name] for name in cls.__slots__})
        except KeyError as error:
            raise ModelDataError(f"vocabulary.json lacks {error}") from error


@lru_cache(maxsize=1)
def vocabulary() -> Vocabulary:
    """The vocabulary of the model in use; raises ModelDataError where it is missing or was altered."""
    return Vocabulary.from_dict(model_files.part("vocabulary.json"))


@lru_cache(maxsize=8192)
def reputation(known: str, names: Vocabulary) -> tuple[float, ...]:
    """The features feature_table.REPUTATION of a callee's canonical name."""
    owner, _, last = known.rpartition(".")
    closed = callables.serialises(known) or callables.constructs_data(known)
    weights = [] if closed else [names.weights.get(word, 0.0) for word in tokens(last)]
    module_weights = [] if closed or owner == "__main__" else [names.weights.get(word, 0.0) for word in tokens(owner)]
    least = _CLOSED_SET if closed else 0
    least_text = _CLOSED_SET if closed and callables.takes_text(known) else 0
    return (
        log(max(least, names.callees.get(known, 0))),
        log(max(least_text, names.text_callees.get(known, 0))),
        log(max(least, names.modules.get(owner, 0))),
        log(max(least, names.roots.get(known.partition(".")[0], 0))),
        sum(weights),
        max(weights, default=0.0),
        max(module_weights, default=0.0),
    )


def log(number: int) -> float:
    """A count on a scale on which a doubling is one step."""
    return round(math.log2(1 + number), 4)
