"""The trees are walked as XGBoost walks them, and nothing but the shipped model is used."""

from __future__ import annotations

import json
import math
import random
from importlib import resources
from typing import Any

import pytest

from picklegate.errors import ModelDataError
from picklegate.judging import classifier, feature_table, features

DATA = resources.files("picklegate").joinpath("data")


def _vectors(count: int) -> list[tuple[float, ...]]:
    """Random vectors that lie on and around every threshold of the model."""
    draw = random.Random(7)
    edges: list[list[float]] = [[0.0, 1.0] for _ in features.FEATURES]
    pending = list(classifier.classifier().trees)
    while pending:
        _, name, edge, *children = pending.pop()
        if name >= 0:
            edges[name] += [edge, math.nextafter(edge, math.inf), math.nextafter(edge, -math.inf)]
            pending += children
    return [tuple(draw.choice(options) for options in edges) for _ in range(count)]


def test_scores_agree_with_xgboost() -> None:
    """5,000 vectors on and beside the thresholds: the same log-odds as xgboost's own prediction."""
    xgboost = pytest.importorskip("xgboost")
    numpy = pytest.importorskip("numpy")
    booster = xgboost.Booster()
    booster.load_model(bytearray(DATA.joinpath("model.json").read_bytes()))
    rows = _vectors(5000)
    data = xgboost.DMatrix(numpy.array(rows, dtype="float32"), feature_names=list(features.FEATURES))
    expected = booster.predict(data, output_margin=True)
    ours = [classifier.classifier().margin(row) for row in rows]
    assert max(abs(a - float(b)) for a, b in zip(ours, expected, strict=True)) < 1e-4


def test_contributions_add_up_to_the_margin() -> None:
    """What each feature adds, and what the roots start from, is the margin."""
    model = classifier.classifier()
    start = model.base + sum(tree[0] for tree in model.trees)
    for row in _vectors(50):
        assert start + sum(part for _, part in model.contributions(row)) == pytest.approx(model.margin(row), abs=1e-9)


def _form() -> tuple[dict[str, Any], dict[str, Any]]:
    return json.loads(DATA.joinpath("model.json").read_text()), json.loads(DATA.joinpath("card.json").read_text())


@pytest.mark.parametrize("change", [{"schema": "picklegate.model/0"}, {"features": ["other"]}, {"offsets": None}])
def test_another_schema_is_refused(change: dict[str, Any]) -> None:
    """A card of another form is no model."""
    model, card = _form()
    if change == {"offsets": None}:
        del card["offsets"]
    with pytest.raises(ModelDataError):
        classifier.from_json(model, {**card, **change} if change != {"offsets": None} else card)


def test_a_rising_danger_never_lowers_a_score() -> None:
    """Monotone features move the margin one way only."""
    model = classifier.classifier()
    for row in _vectors(300):
        for name in feature_table.RISING | feature_table.FALLING:
            more = list(row)
            more[features.FEATURES.index(name)] += 3
            change = model.margin(more) - model.margin(row)
            assert change >= -1e-6 if name in feature_table.RISING else change <= 1e-6
