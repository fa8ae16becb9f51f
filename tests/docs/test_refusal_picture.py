"""The README's picture of a refusal is drawn from what the command prints."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from tools.refusal_picture import PICTURE, lines, picture


def _words(rows: list[str]) -> str:
    """The text without numbers and what lies between them: another model has other scores and features."""
    return re.sub(r"\s*\([^()]*[+-]\d[^()]*\)|\d|\s", "", "".join(rows))


def test_the_picture_shows_what_is_printed_today() -> None:
    """Run ``python -m tools.refusal_picture`` after a change of messages."""
    drawn = ["".join(one.itertext()) for one in ET.parse(PICTURE).iter("{http://www.w3.org/2000/svg}text")]
    assert _words(drawn) == _words([row for row in lines() if row])


def test_it_is_one_file_that_needs_nothing_else() -> None:
    """No script, no link, no font to load."""
    assert not re.search(r"<script|href|url\(|@import", picture())
