"""docs/features.md has each feature and each kind of event, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from picklegate.judging.classifier import KINDS
from picklegate.judging.feature_table import FALLING, FEATURES, RISING

ROWS = re.findall(
    r"^\| `(\w+)` \| ([^|]+) \|(.*)$",
    (Path(__file__).parents[2] / "docs" / "features.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
FOUND = {name: text for name, text, rest in ROWS if rest}


def test_each_feature_has_one_row() -> None:
    """The page and the vector list the same features, grouped but complete."""
    named = [name for name, _, rest in ROWS if rest]
    assert sorted(named) == sorted(FEATURES)


def test_the_page_tells_which_features_are_monotone() -> None:
    """A row says that a feature never raises or never lowers a score where the training is told so."""
    assert {name for name, text in FOUND.items() if "never raises a score" in text} == FALLING
    assert {name for name, text in FOUND.items() if "never lowers a score" in text} == RISING


def test_each_kind_of_event_has_a_row() -> None:
    """The kinds stand in the order in which they are decided."""
    assert tuple(name for name, _, rest in ROWS if not rest) == KINDS
