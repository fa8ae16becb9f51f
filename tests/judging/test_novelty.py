"""The forest is walked as scikit-learn walks it, on what a stream's opcodes are."""

from __future__ import annotations

import random

import pytest

from picklegate import scan_bytes
from picklegate.errors import ModelDataError
from picklegate.judging import novelty
from picklegate.pickles import trace


def test_shares_are_of_the_opcodes() -> None:
    """A list of two small integers: each opcode with its share, and nothing else."""
    shape = novelty.shape(trace(b"\x80\x02](K\x01K\x02e."))
    shares = {name: share for name, share in zip(novelty.SHAPE, shape, strict=True) if share}
    assert set(shares) == {"PROTO", "EMPTY_LIST", "MARK", "BININT1", "APPENDS", "STOP"}
    assert shares["BININT1"] == pytest.approx(2 / 7, abs=1e-6)


def test_scores_agree_with_scikit_learn() -> None:
    """A forest grown on random shapes scores as scikit-learn's own does."""
    outliers = pytest.importorskip("picklegate.training.outliers")
    numpy = pytest.importorskip("numpy")
    ensemble = pytest.importorskip("sklearn.ensemble")
    draw = random.Random(3)
    shapes = [tuple(draw.random() ** 4 for _ in novelty.SHAPE) for _ in range(150)]
    data = outliers.fit(shapes, seed=1)
    model = ensemble.IsolationForest(n_estimators=outliers.TREES, max_samples=outliers.SAMPLES, random_state=1)
    expected = -model.fit(numpy.array(shapes, dtype=numpy.float32)).score_samples(numpy.array(shapes))
    forest = novelty.from_json(data)
    assert max(abs(forest.anomaly(shape) - float(b)) for shape, b in zip(shapes, expected, strict=True)) < 1e-3
    ranks = [forest.novelty(shape) for shape in shapes]
    assert min(ranks) < 0.05
    assert max(ranks) > 0.9


def test_reports_have_it_and_verdicts_do_not_depend_on_it() -> None:
    """Each stream has its rank among honest ones, by its opcodes alone, whatever they carry."""
    harmless, hostile = (
        scan_bytes(b"c%b\n(S'true'\ntR." % callee).streams[0] for callee in (b"builtins\nstr", b"os\nsystem")
    )
    assert harmless.novelty is not None
    assert 0 <= harmless.novelty <= 1
    assert harmless.novelty == hostile.novelty
    assert harmless.verdict < hostile.verdict
    assert harmless.to_dict()["novelty"] == round(harmless.novelty, 3)


def test_another_shape_is_refused() -> None:
    """A forest that was grown on other features is no model."""
    with pytest.raises(ModelDataError, match="train it again"):
        novelty.from_json({"schema": novelty.SCHEMA, "shape": ["other"]})
