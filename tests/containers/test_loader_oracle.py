"""The real loaders as the oracle: a file whose payload one of them runs is not clean, and an honest file is."""

from __future__ import annotations

import pytest

from picklegate.report import Verdict
from picklegate.scan import scan_bytes
from support.container_loaders import ran, run
from support.container_maker import Maker

FILES = 500


@pytest.mark.filterwarnings("ignore")
def test_what_a_loader_runs_is_not_clean() -> None:
    """Of files drawn at random, mostly odd ones, none is clean by which a loader ran the payload."""
    maker = Maker(20_000)
    made = [maker.make() for _ in range(FILES)]
    answers = run([one.data for one in made])
    verdicts = [scan_bytes(one.data, name="model.bin").verdict for one in made]
    told = list(zip(made, answers, verdicts, strict=True))
    assert [(one.recipe, ways) for one, ways, verdict in told if ways and verdict == Verdict.CLEAN] == []
    assert [one.recipe for one, _, verdict in told if one.honest and verdict != Verdict.CLEAN] == []
    assert sum(bool(ways) for ways in answers) > FILES // 5
    assert not any(ways for one, ways, _ in told if one.honest)


def test_the_oracle_sees_the_payload() -> None:
    """A plain payload marks the process by every loader that takes a pickle, and plain values by none."""
    maker = Maker(1)
    maker.hostile = True
    assert "pickle" in ran(maker.pickle())
    maker.hostile = False
    assert ran(maker.pickle()) == []
