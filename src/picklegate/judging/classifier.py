"""Vectors -> scores: the trees that XGBoost trained, walked without importing it."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from picklegate.errors import ModelDataError
from picklegate.judging import model_files
from picklegate.judging.feature_table import FEATURES

SCHEMA = "picklegate.model/1"

_Node = tuple[float, int, float, Any, Any]
"""Expected value in log-odds, feature (-1 in a leaf), threshold, the node below it, and the node from it on."""


def _float32(number: float) -> float:
    """The nearest single-precision number, which is what XGBoost compares."""
    return float(struct.unpack("<f", struct.pack("<f", number))[0])


_ROW = struct.Struct(f"<{len(FEATURES)}f")
"""A vector in single precision."""


def _tree(data: Mapping[str, Any]) -> _Node:
    """The root of a tree in XGBoost's JSON form."""
    left, right, weight = data["left_children"], data["right_children"], data["sum_hessian"]
    nodes: list[_Node] = [(float(number), -1, 0.0, None, None) for number in data["split_conditions"]]
    # Children have higher numbers than their parent, so one backward pass sees them first.
    for node in range(len(left) - 1, -1, -1):
        if left[node] >= 0:
            low, high = nodes[left[node]], nodes[right[node]]
            a, b = weight[left[node]], weight[right[node]]
            value = (low[0] * a + high[0] * b) / (a + b or 1.0)
            nodes[node] = (value, data["split_indices"][node], _float32(nodes[node][0]), low, high)
    return nodes[0]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Classifier:
    """A calibrated tree ensemble; ``offsets`` shift the log-odds by kind of event.

    A score of ``review`` or more is SUSPICIOUS, of ``block`` or more MALICIOUS.
    """

    trees: tuple[_Node, ...]
    base: float
    offsets: Mapping[str, float]
    review: float
    block: float
    version: str

    def margin(self, vector: Sequence[float]) -> float:
        """The log-odds that XGBoost itself computes for ``vector``, before the offset of its kind."""
        return _margin(self, tuple(vector))

    def score(self, vector: Sequence[float]) -> float:
        """The calibrated score in [0, 1]."""
        return sigmoid(self.margin(vector) + self.offsets[kind(vector)])

    def contributions(self, vector: Sequence[float]) -> list[tuple[str, float]]:
        """(feature, log-odds it adds along its paths), the largest first."""
        return list(_contributions(self, tuple(vector)))


@lru_cache(maxsize=16_384)
def _margin(model: Classifier, vector: tuple[float, ...]) -> float:
    """The sum of the leaves that the vector comes to; files are full of like events, hence the cache."""
    row = _ROW.unpack(_ROW.pack(*vector))
    total = model.base
    for value, feature, threshold, low, high in model.trees:
        while feature >= 0:
            value, feature, threshold, low, high = low if row[feature] < threshold else high  # noqa: PLW2901
        total += value
    return total


@lru_cache(maxsize=1_024)
def _contributions(model: Classifier, vector: tuple[float, ...]) -> list[tuple[str, float]]:
    """What each feature adds along the vector's paths."""
    row = _ROW.unpack(_ROW.pack(*vector))
    parts = dict.fromkeys(FEATURES, 0.0)
    for tree in model.trees:
        value, feature, threshold, low, high = tree
        while feature >= 0:
            child = low if row[feature] < threshold else high
            parts[FEATURES[feature]] += child[0] - value
            value, feature, threshold, low, high = child
    return sorted(parts.items(), key=lambda part: -part[1])


def sigmoid(margin: float) -> float:
    """Log-odds -> probability."""
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, margin))))


KINDS = ("maker", "state", "serialiser", "known", "standard", "class", "function")
"""The kinds of event that scores are calibrated by, decided in this order."""

_STATE = FEATURES.index("state")
_MAKER = FEATURES.index("makes_code")
_REFLECTIVE = FEATURES.index("reflective")
_SERIALISER = FEATURES.index("serialiser")
_STANDARD = FEATURES.index("standard_library")
_PROJECTS = FEATURES.index("callee_projects")
_CLASS = FEATURES.index("class_like")
_CONSTRUCTION = FEATURES.index("construction")


def kind(vector: Sequence[float]) -> str:
    """The kind of the event that ``vector`` describes."""
    if vector[_SERIALISER] and (vector[_MAKER] or vector[_REFLECTIVE]):
        return "maker"
    if vector[_STATE]:
        return "state"
    if vector[_SERIALISER]:
        return "serialiser"
    if vector[_PROJECTS]:
        return "known"
    if vector[_STANDARD]:
        return "standard"
    return "class" if vector[_CLASS] or vector[_CONSTRUCTION] else "function"


def from_json(model: Mapping[str, Any], card: Mapping[str, Any]) -> Classifier:
    """A classifier of XGBoost's JSON form and the card beside it; raises ModelDataError for another schema."""
    try:
        if card["schema"] != SCHEMA or tuple(card["features"]) != FEATURES:
            raise ModelDataError("the model was made for other features: train it again")
        learner = model["learner"]
        base = float(str(learner["learner_model_param"]["base_score"]).strip("[]"))
        return Classifier(
            trees=tuple(map(_tree, learner["gradient_booster"]["model"]["trees"])),
            base=math.log(base / (1 - base)),
            offsets=card["offsets"],
            review=card["review"],
            block=card["block"],
            version=card["version"],
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelDataError(f"the model has another form than {SCHEMA}: {error}") from error


def version() -> str:
    """The version of the model in use, without loading it; raises ModelDataError where its card is missing."""
    return str(model_files.card()["version"])


@lru_cache(maxsize=1)
def classifier() -> Classifier:
    """The model in use; raises ModelDataError where it is missing or was altered."""
    return from_json(model_files.part("model.json"), model_files.card())
