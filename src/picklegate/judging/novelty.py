"""How unlike the streams of honest files a whole stream is: an isolation forest on its opcodes.

The opcode frequencies are the family of the SafePickle paper (arXiv 2602.19818). Nothing decides by this number:
whoever writes a stream can make it as ordinary or as odd as they like. It tells a person where to look first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from picklegate.errors import ModelDataError
from picklegate.judging import model_files
from picklegate.pickles import Trace, opcode_counts
from picklegate.pickles.opcodes import NAMES

SCHEMA = "picklegate.novelty/1"

OPCODES_READ = 1_000
"""Opcodes from the start of a stream that are counted."""

SHAPE = tuple(sorted(NAMES.values()))
"""What a stream is described by: the share that each opcode has."""

_PLACES = {name: place for place, name in enumerate(SHAPE)}

Shape = tuple[float, ...]

_Node = tuple[int, float, Any, Any]
"""Feature, threshold, the node up to it, and the node beyond it; of a leaf -1 and the length of the path to it."""


def shape(found: Trace) -> Shape:
    """The stream's description, in the order of SHAPE; empty where the stream's bytes were let go."""
    counts = opcode_counts(found, OPCODES_READ)
    total = counts.total()
    shares = [0.0] * len(SHAPE)
    for name, count in counts.items():
        if name in _PLACES:
            shares[_PLACES[name]] = round(count / total, 6)
    return tuple(shares) if total else ()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Forest:
    """An isolation forest; ``ranks`` are the quantiles of its scores on honest streams, rising."""

    trees: tuple[_Node, ...]
    normal: float
    ranks: tuple[float, ...]

    def anomaly(self, vector: Sequence[float]) -> float:
        """Near 1 where few splits set the vector apart, below 0.5 where many are needed (Liu, Ting and Zhou, 2008)."""
        return _anomaly(self, tuple(vector))

    def novelty(self, vector: Sequence[float]) -> float:
        """The share of honest streams that are less unlike the others, in [0, 1]."""
        return bisect_left(self.ranks, self.anomaly(vector)) / len(self.ranks)


@lru_cache(maxsize=4_096)
def _anomaly(forest: Forest, vector: Shape) -> float:
    """From the mean length of the paths that the vector takes; small files are much alike, hence the cache."""
    length = 0.0
    for feature, threshold, low, high in forest.trees:
        while feature >= 0:
            feature, threshold, low, high = low if vector[feature] <= threshold else high  # noqa: PLW2901
        length += threshold
    return float(2.0 ** (-length / len(forest.trees) / forest.normal))


def from_json(data: Mapping[str, Any]) -> Forest:
    """A forest of its JSON form; raises ModelDataError for another schema."""
    try:
        if data["schema"] != SCHEMA or tuple(data["shape"]) != SHAPE:
            raise ModelDataError("the novelty model was made for other features: train it again")
        return Forest(
            trees=tuple(_tree(*columns) for columns in data["trees"]),
            normal=float(data["normal"]),
            ranks=tuple(map(float, data["ranks"])),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelDataError(f"the novelty model has another form than {SCHEMA}: {error}") from error


def _tree(features: Sequence[int], thresholds: Sequence[float], lows: Sequence[int], highs: Sequence[int]) -> _Node:
    nodes: list[_Node] = [(-1, float(number), None, None) for number in thresholds]
    # Children have higher numbers than their parent.
    for node in range(len(nodes) - 1, -1, -1):
        if features[node] >= 0:
            nodes[node] = (features[node], nodes[node][1], nodes[lows[node]], nodes[highs[node]])
    return nodes[0]


@lru_cache(maxsize=1)
def forest() -> Forest:
    """The forest of the model in use; raises ModelDataError where it is missing or was altered."""
    return from_json(model_files.part("novelty.json"))
