"""The isolation forest behind ``novelty``, fitted by scikit-learn on honest streams and written as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest

from picklegate.judging.novelty import SCHEMA, SHAPE, Shape, from_json

TREES = 100
SAMPLES = 128
"""Streams that each tree is grown on."""
RANKS = 200
"""Quantiles that are kept of the honest streams' scores."""


def fit(shapes: Sequence[Shape], seed: int) -> dict[str, Any]:
    """The JSON form of a forest grown on the shapes of honest streams."""
    model = IsolationForest(n_estimators=TREES, max_samples=min(SAMPLES, len(shapes)), random_state=seed)
    model.fit(np.array(shapes, dtype=np.float32))
    data = exported(model)
    forest = from_json(data)
    scores = np.array([forest.anomaly(shape) for shape in shapes])
    data["ranks"] = [round(float(score), 6) for score in np.quantile(scores, np.linspace(0, 1, RANKS))]
    return data


def exported(model: Any) -> dict[str, Any]:
    """What scikit-learn grew: for each tree, the columns of its nodes; of a leaf, its path's expected length."""
    trees = []
    for estimator in model.estimators_:
        tree = estimator.tree_
        left, right = tree.children_left.tolist(), tree.children_right.tolist()
        depth = [0] * len(left)
        for node, (low, high) in enumerate(zip(left, right, strict=True)):
            if low >= 0:
                depth[low] = depth[high] = depth[node] + 1
        leaf = [low < 0 for low in left]
        lengths = [deep + expected(int(n)) for deep, n in zip(depth, tree.n_node_samples, strict=True)]
        thresholds = [
            round(lengths[node], 6) if leaf[node] else float(split)
            for node, split in enumerate(tree.threshold.tolist())
        ]
        trees.append([[-1 if leaf[n] else f for n, f in enumerate(tree.feature.tolist())], thresholds, left, right])
    return {
        "schema": SCHEMA,
        "shape": list(SHAPE),
        "normal": expected(int(model.max_samples_)),
        "ranks": [],
        "trees": trees,
    }


def expected(samples: int) -> float:
    """The expected length of a path that ends among so many samples, from the paper on isolation forests."""
    if samples <= 1:
        return 0.0
    if samples == 2:
        return 1.0
    return float(2.0 * (np.log(samples - 1.0) + np.euler_gamma) - 2.0 * (samples - 1.0) / samples)
