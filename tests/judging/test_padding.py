"""Whatever is added beside a payload, its score stays: a superset of events never scores lower."""

from __future__ import annotations

import collections
import datetime as dt
import pickle
import random
from typing import Any

import pytest

from picklegate import Verdict, scan_bytes
from picklegate.pickles import trace
from samples.hostile import HOSTILE
from support.builders import Hostile

RAW = [sample for sample in HOSTILE if sample.data[:2] == b"\x80\x04" and trace(sample.data).stopped]


def _honest(draw: random.Random) -> Any:
    kinds: list[Any] = [
        collections.OrderedDict((f"layer.{i}.weight", i * 0.5) for i in range(draw.randrange(30))),
        dt.date(2020, 1, draw.randint(1, 28)),
        ["the quick brown fox"] * draw.randrange(20),
        {"args": {"lr": draw.random(), "path": "runs/exp1", "names": ["adam", "sgd"]}},
        collections.Counter("mississippi"),
    ]
    return [draw.choice(kinds) for _ in range(draw.randint(1, 8))]


@pytest.mark.parametrize("sample", RAW, ids=lambda sample: sample.id)
def test_padding_changes_no_score(sample: Hostile) -> None:
    """Honest objects before the payload, popped, and streams behind it, never lower the highest score."""
    draw = random.Random(sample.id)
    plain = scan_bytes(sample.data)
    for _ in range(3):
        after = sample.data + pickle.dumps(_honest(draw), draw.randrange(6))
        padded = scan_bytes(after)
        assert padded.score >= plain.score
        assert padded.verdict >= plain.verdict


@pytest.mark.parametrize("sample", RAW, ids=lambda sample: sample.id)
def test_honest_material_in_front_changes_no_score(sample: Hostile) -> None:
    """A thousand honest objects in front, in the same stream, popped: the payload scores as before."""
    draw = random.Random(sample.id)
    front = b"".join(_popped(_honest(draw)) for _ in range(50))
    stopped = trace(sample.data)
    if any(note.code.startswith("stream.") for note in stopped.notes):
        pytest.skip("its frames would shift")
    plain, padded = scan_bytes(sample.data), scan_bytes(sample.data[:2] + front + _unframed(sample.data))
    if plain.verdict > Verdict.SUSPICIOUS:
        assert padded.score >= plain.score - 1e-9


def _popped(value: Any) -> bytes:
    """Opcodes that make ``value`` and drop it, without memo, so that the payload's own indexes stay."""
    if isinstance(value, list):
        return b"(" + b"".join(_made(item) for item in value) + b"1"
    return _made(value) + b"0"


def _made(value: Any) -> bytes:
    if isinstance(value, str):
        text = value.encode()
        return b"X" + len(text).to_bytes(4, "little") + text
    if isinstance(value, dt.date):
        return b"cdatetime\ndate\n(K\x01K\x02K\x03tR"
    if isinstance(value, dict):
        return b"ccollections\nOrderedDict\n)R(" + b"".join(_made(str(key)) + b"K\x01" for key in value) + b"u"
    return b"](" + b"".join(_made(str(item)) for item in value) + b"e"


def _unframed(data: bytes) -> bytes:
    return data[11:] if data[2:3] == b"\x95" else data[2:]
