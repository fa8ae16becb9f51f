"""Writes docs/findings.md from the table in picklegate/findings.py: ``python -m tools.findings_page``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from picklegate.findings import GROUPS, Kind

PAGE = Path(__file__).parents[1] / "docs" / "findings.md"
_HEAD = """\
# Findings

<!-- Made from src/picklegate/findings.py by `python -m tools.findings_page`: change the table, not this page. -->

A finding is one reason for a verdict. Its code is stable: scripts may match on it. The verdict beside each code is the
one that the finding carries; a file's verdict is the highest of its findings' verdicts. `CLEAN` marks a note, which
changes nothing. `picklegate rule CODE` prints the same text.

Everything above `CLEAN` is blocked by default. Whatever the finding, you have these choices:

- **Use another file.** Many repositories offer the same weights as safetensors, which cannot hold code.
- **Ask the author** to save a plain `state_dict`, which needs none of what is flagged here.
- **Allow it.** `picklegate allow` writes the import or the file's SHA-256 into your [policy file](policy.md), with your
  reason. Do this only if you know the code behind the import or have examined the file.

If a finding looks like a false alarm, please open an issue: the report's JSON form has everything that is needed to
look into it.
"""


def page() -> str:
    """The whole page."""
    return "\n".join((_HEAD, *_sections()))


def _sections() -> Iterator[str]:
    for title, introduction, kinds in GROUPS:
        yield f"## {title}\n"
        if introduction:
            yield f"{introduction}\n"
        for kind in kinds:
            yield _section(kind)


def _section(kind: Kind) -> str:
    verdicts = [verdict for verdict in (kind.milder, kind.verdict) if verdict is not None]
    words = " or ".join(f"`{verdict}`" for verdict in verdicts)
    return f"### {kind.code}\n\n{words}. {kind.meaning} *{kind.advice}*\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
