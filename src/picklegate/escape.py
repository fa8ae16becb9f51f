"""The one place where text from a hostile file is made fit for a terminal, a page or a log."""

from __future__ import annotations

import re

_INVISIBLE = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
"""Code points that Python calls printable and that show nothing: fillers, joiners, variation selectors."""

_HIDDEN = re.compile(f"[{_INVISIBLE}]")


def escape(text: str, width: int | None = None) -> str:
    r"""Returns ``text`` on one line, each character visible, in at most ``width`` characters.

    Control characters (ANSI sequences with them), bidirectional and zero-width marks, lone surrogates and unusual
    spaces become ``\x1b``, ``\u202e`` and so on; an over-long text ends in an ellipsis. Text that is already
    escaped stays as it is.
    """
    # An escape is never shorter than its character, so what lies beyond the width cannot show.
    head = text if width is None else text[: width + 1]
    if not head.isprintable() or _HIDDEN.search(head):
        head = "".join(_visible(character) for character in head)
    if width is not None and len(head) > width:
        return head[: width - 1] + "…"
    return head


def _visible(character: str) -> str:
    if character.isprintable() and not _HIDDEN.match(character):
        return character
    return character.encode("unicode_escape").decode("ascii")
