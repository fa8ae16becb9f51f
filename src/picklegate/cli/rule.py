"""``picklegate rule``."""

from __future__ import annotations

import difflib
import json

import click

from picklegate.cli.output import write
from picklegate.findings import KINDS, Kind


@click.command()
@click.argument("code", required=False)
@click.option("--all", "everything", is_flag=True, help="Explain all codes.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Output format.")
def rule(code: str | None, everything: bool, form: str) -> int:  # noqa: FBT001 (click gives it by name)
    """Explain the code of a finding, such as call.score.

    It says what the finding means, which verdict it carries, what decided,
    and what to do.

    \b
    Examples:
      picklegate rule call.score
      picklegate rule --all --format json
    """  # noqa: D301 - click wants the backspace itself: it marks a paragraph whose lines are kept
    if everything == bool(code):
        raise click.UsageError("name one code, or use --all")
    if code is not None and code not in KINDS:
        near = difflib.get_close_matches(code, KINDS, n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else "`picklegate rule --all` lists the codes."
        raise click.UsageError(f"there is no code {code}. {hint}")
    kinds = [KINDS[code]] if code else list(KINDS.values())
    if form == "json":
        told = [_described(kind) for kind in kinds]
        write(json.dumps(told if everything else told[0], indent=2) + "\n", None)
    else:
        write("\n".join(map(_text, kinds)), None)
    return 0


def _described(kind: Kind) -> dict[str, object]:
    return {
        "code": kind.code,
        "verdicts": [verdict.name for verdict in (kind.milder, kind.verdict) if verdict is not None],
        "decided_by": kind.decided_by,
        "meaning": kind.meaning,
        "advice": kind.advice,
    }


def _text(kind: Kind) -> str:
    verdicts = " or ".join(str(verdict) for verdict in (kind.milder, kind.verdict) if verdict is not None)
    width = click.get_current_context().terminal_width
    body = click.wrap_text(f"{kind.meaning}\n\nWhat to do: {kind.advice}", width or 80, preserve_paragraphs=True)
    return f"{kind.code}: {verdicts}, decided by {kind.decided_by}\n\n{body}\n"
