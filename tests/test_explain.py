"""Explanations: what loading would do, in its order, and what made each score."""

from __future__ import annotations

import collections
import datetime as dt
import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from picklegate import containers
from picklegate.explain import TORCHS_OWN, Explanation, explain_stream
from picklegate.judging.classifier import classifier, sigmoid
from picklegate.judging.feature_table import FEATURES
from picklegate.render import explanation as form
from samples.hostile import HOSTILE
from support.builders import Hostile

SYSTEM = b"cos\nsystem\n(S'echo inert'\ntR."
Run = Callable[..., int]


def explain(data: bytes, *, listing: bool = False) -> Explanation:
    """The explanation of a file of these bytes."""
    return explain_stream(io.BytesIO(data), name="file", listing=listing)


def test_steps_are_in_the_order_of_loading() -> None:
    """Imports and calls stand by their offsets, each call with its score."""
    (told,) = explain(pickle.dumps([dt.timedelta(1), collections.OrderedDict(a=1)])).streams
    assert [step.offset for step in told.steps] == sorted(step.offset for step in told.steps)
    assert [(step.kind, step.name) for step in told.steps] == [
        ("import", "datetime.timedelta"), ("call", "datetime.timedelta"),
        ("import", "collections.OrderedDict"), ("call", "collections.OrderedDict"),
    ]  # fmt: skip


def test_weights_name_the_features_that_moved_the_score() -> None:
    """They are features with their values, the heaviest first, and those that raise it are among them."""
    (told,) = explain(SYSTEM).streams
    (step,) = [step for step in told.steps if step.call]
    assert {weight.feature for weight in step.weights} <= set(FEATURES)
    assert [abs(weight.adds) for weight in step.weights] == sorted((abs(w.adds) for w in step.weights), reverse=True)
    assert any(weight.feature == "shell" and weight.adds > 0 for weight in step.weights)
    assert 0 <= sigmoid(classifier().base) <= 1


def test_text_tells_what_would_run(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The verdict, the steps, the features, the findings, the marked opcodes and the advice."""
    path = tmp_path / "evil.pkl"
    path.write_bytes(SYSTEM)
    assert run("explain", path, "--disassemble") == 1
    shown = capsys.readouterr().out
    for words in (
        "MALICIOUS   ",
        "byte 0        import os.system",
        "byte 27       call   os.system('echo inert')  [score 0.",
        "a text looks like a command",
        "MALICIOUS call.execution at byte 27: loading runs os.system('echo inert')",
        ">       27  REDUCE",
        "What to do: Do not load the file.",
    ):
        assert words in shown


def test_a_file_without_imports_is_told_to_be_inert() -> None:
    """A stream that can call nothing says so."""
    assert "no code is called" in form.render(explain(pickle.dumps([1, "two", {3: 4.0}])))


def test_safe_globals_are_what_torch_does_not_know(tmp_path: Path) -> None:
    """A clean torch file names what weights_only would have to be told, and no more."""
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    torch.save({"w": torch.ones(2), "o": collections.OrderedDict(), "t": dt.timedelta(1)}, file)
    found = explain(file.getvalue())
    assert found.safe_globals == ("datetime.timedelta",)
    assert "  datetime.timedelta" in form.render(found).splitlines()
    with torch.serialization.safe_globals([dt.timedelta]):
        torch.load(io.BytesIO(file.getvalue()), weights_only=True)


def test_what_torch_knows_by_itself_is_what_it_says() -> None:
    """The names that need no telling are among torch's own."""
    pytest.importorskip("torch")
    from torch._weights_only_unpickler import _get_allowed_globals

    assert set(_get_allowed_globals()) >= TORCHS_OWN


def test_json_is_the_explanation(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has the report and the steps with their weights; opcodes only where asked for."""
    path = tmp_path / "evil.pkl"
    path.write_bytes(SYSTEM)
    assert run("explain", path, "--format", "json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "picklegate.explanation/1"
    assert document["file"]["verdict"] == "MALICIOUS"
    assert document["streams"][0]["instructions"] == []
    assert document["streams"][0]["steps"][1]["weights"]


def test_a_missing_file_is_one_line(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and the system's words."""
    assert run("explain", tmp_path / "no") == 2
    assert "No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize("sample", HOSTILE[::6], ids=lambda sample: sample.id)
def test_any_container_is_explained(sample: Hostile) -> None:
    """Each stream of the report is told, and no line of it carries what a terminal would obey."""
    found = explain(sample.data, listing=True)
    assert [told.report for told in found.streams] == list(found.report.streams)
    assert all(line.isprintable() for line in form.render(found, listing=True).splitlines())


def test_a_file_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report and the steps come from one reading."""
    readings = []
    read = containers.read

    def counted(*args: Any, **options: Any) -> Any:
        readings.append(args)
        return read(*args, **options)

    monkeypatch.setattr(containers, "read", counted)
    explain(SYSTEM)
    assert len(readings) == 1
