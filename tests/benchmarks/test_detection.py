"""The benchmark of detection: its folds, its counting and its injections, on a handful of generated files."""

from __future__ import annotations

import pickle
import pickletools
import random
from pathlib import Path

import numpy as np
import pytest

from benchmarks.common import tables
from benchmarks.detection import __main__ as detection
from benchmarks.detection import baselines, files, injection
from benchmarks.detection import folds as detection_folds
from benchmarks.detection.files import Item
from benchmarks.detection.folds import Judge
from picklegate.judging import features
from picklegate.judging.classifier import KINDS, Classifier
from picklegate.pickles import trace
from picklegate.training import fit
from picklegate.training.carriers import PLACES
from picklegate.training.dataset import Row
from picklegate.training.names import Names

_SYSTEM = b"cos\nsystem\n(S'echo true'\ntR."


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [
        pytest.param(0, 100, 0.0, 0.0370, id="none"),
        pytest.param(100, 100, 0.9630, 1.0, id="all"),
        pytest.param(50, 100, 0.4038, 0.5962, id="half"),
        pytest.param(0, 0, 0.0, 1.0, id="nothing-counted"),
    ],
)
def test_intervals_are_wilsons(hits: int, total: int, low: float, high: float) -> None:
    """A share's interval is Wilson's, and none of n has an upper bound."""
    assert tables.interval(hits, total) == pytest.approx((low, high), abs=1e-4)


def test_shape_ignores_what_arguments_hold() -> None:
    """Files that call alike have one shape, whatever the arguments hold, and another callee is another shape."""
    shapes = []
    for source in (_SYSTEM, b"cos\nsystem\n(S'echo'\ntR.", b"cos\npopen\n(S'true'\ntR."):
        found = trace(source)
        shapes.append(files.shape(found.events))
    assert shapes[0] == shapes[1] != shapes[2]


@pytest.mark.parametrize("protocol", range(6))
def test_moved_memo_keeps_the_value(protocol: int) -> None:
    """A stream whose memo was moved loads as before, and so do two in one."""
    shared = ["a", "b"]
    values = ({"x": shared, "y": shared}, [shared, ("c", shared)])
    first, second = (
        injection.parts(pickle.dumps(value, protocol), base) for value, base in zip(values, (0, 20_000), strict=True)
    )
    assert first is not None
    assert second is not None
    assert pickle.loads(b"\x80\x05" + b"".join((*first, *second)) + b"\x86.") == values


def test_parts_refuse_what_is_not_one_whole_stream() -> None:
    """A broken stream, and a stream with something behind it, are no payloads."""
    whole = pickle.dumps([1, 2])
    assert injection.parts(whole[:-1], 0) is None
    assert injection.parts(whole + whole, 0) is None


def test_every_injection_still_calls() -> None:
    """Wherever a payload is put, and however it is padded, its call stands in the stream."""
    item = Item(name="a.pkl", label="hostile", unit="u", fold=0, container="raw")
    [payload] = injection.payloads([(item, _SYSTEM)])
    honest = injection.carriers([pickle.dumps({"layer": [1.0, 2.0], "name": "x"})])
    made = list(injection.injected(payload, honest, random.Random(1)))
    assert {each.family for each in made} == {"alone", *PLACES, f"padded x{injection.PADDING}"}
    for each in made:
        streams, start = [], 0
        while start < len(each.data):
            streams.append(trace(each.data, start))
            start = streams[-1].end
        assert all(found.stopped for found in streams)
        assert [event.known for found in streams for event in found.events] == ["os.system"]


def test_a_file_is_judged_by_the_gate_and_by_the_rule(judge: Judge) -> None:
    """A proof blocks what the model lets pass; an honest file passes everything; opcodes are counted."""
    hostile = Item(name="a.pkl", label="hostile", unit="u", fold=0, container="raw", data=_SYSTEM)
    honest = Item(name="b.pkl", label="honest", unit="u", fold=0, container="raw", data=pickle.dumps({"a": 1}))
    caught, passed = (files.judged(item, judge) for item in (hostile, honest))
    assert (caught.gate, caught.rule, caught.model) == (True, True, False)
    assert caught.opcodes == {op.name: 1 for op, _, _ in pickletools.genops(hostile.data)}
    assert (passed.gate, passed.rule, passed.model) == (False, False, False)
    assert passed.framework == "no imports"


@pytest.fixture
def judge() -> Judge:
    """A model that holds everything for harmless, and no names."""
    offsets = dict.fromkeys(KINDS, 0.0)
    model = Classifier(trees=(), base=-10.0, offsets=offsets, review=0.5, block=0.9, version="none")
    return Judge(classifier=model, vocabulary=Names().vocabulary())


def test_folds_do_not_know_their_own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fold's vocabulary holds the names of every other fold's groups, and none of its own."""
    monkeypatch.setattr(fit, "ROUNDS", 1)
    rows = [_row(f"{number % 2} {number}", f"lib{number}.load", number % 2) for number in range(60)]
    folds = detection_folds.fit_folds(fit.Material(rows=rows, hub=(), gadgets=()), seed=1)
    honest = {row.known: fit.fold_of_row(row) for row in rows if row.label == 0}
    for number, fold in enumerate(folds):
        assert set(fold.names["callees"]) == {known for known, home in honest.items() if home != number}


def _row(group: str, known: str, label: int) -> Row:
    description = (0.0,) * len(features.DESCRIPTION)
    return Row(file=group, group=group, source="corpus", family="", known=known, label=label, description=description)


def test_strict_threshold_blocks_few() -> None:
    """The baselines' strict threshold lets at most three honest files in a thousand be blocked."""
    scores = np.arange(1000.0)
    assert (scores >= baselines.strict(scores)).sum() == 3


def test_only_the_marked_part_of_the_page_changes(tmp_path: Path) -> None:
    """What stands around the marks of the page is kept."""
    page = tmp_path / "results.md"
    page.write_text(f"before\n{detection.BEGIN}\nold\n{detection.END}\nafter\n", "utf-8")
    detection.put(page, "new")
    assert page.read_text("utf-8") == f"before\n{detection.BEGIN}\n\nnew\n\n{detection.END}\nafter\n"
