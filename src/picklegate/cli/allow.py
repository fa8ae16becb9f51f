"""``picklegate allow``."""

from __future__ import annotations

import datetime as dt
import os
import re
from pathlib import Path

import click

from picklegate import policy_file
from picklegate.cli.output import EXIT_CLEAN, EXIT_FOUND, say
from picklegate.policy import Policy
from picklegate.policy_file import Allowed
from picklegate.refusal import sentences
from picklegate.report import Verdict

_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


def _date(_: click.Context, __: click.Parameter, text: str | None) -> dt.date | None:
    try:
        date = None if text is None else dt.date.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text} is no date: write it as 2027-01-31") from error
    if date is not None and date < dt.datetime.now(dt.timezone.utc).date():
        raise click.BadParameter(f"{text} is in the past")
    return date


@click.command()
@click.argument("targets", metavar="FILE | DIGEST | IMPORT...", nargs=-1, required=True)
@click.option("--reason", required=True, metavar="TEXT", help="Why you trust it. The policy file keeps it.")
@click.option("--expires", metavar="DATE", callback=_date, help="The last day, such as 2027-01-31.")
@click.option("--repo", default="", metavar="ORG/NAME", help="Trust the import in this repository of the Hub alone.")
@click.option(
    "--policy", "file", type=click.Path(dir_okay=False, path_type=Path), help="The policy file to write, instead."
)
def allow(targets: tuple[str, ...], reason: str, expires: dt.date | None, repo: str, file: Path | None) -> int:
    """Allow a file or an import in the project's policy file.

    FILE and DIGEST allow one content, by its SHA-256. IMPORT allows a callable
    or class, such as ours.models.Net, in every file. The entry goes into the
    nearest picklegate.toml or pyproject.toml with [tool.picklegate]; without
    one, picklegate.toml is made here. Comments in the file stay.

    A MALICIOUS file and an import that runs code are not taken: if you are
    sure, write the entry by hand.

    \b
    Examples:
      picklegate allow checkpoints/model.pt --reason "our own, reviewed in #12"
      picklegate allow ours.models.Net --reason "our class" --expires 2027-01-31
    """  # noqa: D301 - click wants the backspace itself: it marks a paragraph whose lines are kept
    if not reason.strip():
        raise click.UsageError("--reason is empty: say why you trust it")
    path = file or policy_file.project() or Path(policy_file.NAME)
    status = EXIT_CLEAN
    items = []
    for target in targets:
        what = _digest_of(target) if os.path.lexists(target) else _name(target)
        if isinstance(what, int):
            status = max(status, what)
            continue
        if repo and _DIGEST.fullmatch(what):
            raise click.UsageError("--repo is for imports: a digest stands for one content, wherever it is")
        items.append((target, Allowed(what=what, reason=reason, expires=expires, repo=repo)))
    for target, item in items:
        new = policy_file.add(path, item)
        shown = item.what if item.what == target else f"{target} ({item.what[:12]})"
        where = f"in {repo}" if repo else "in every file" if shown == item.what and "." in shown else ""
        say(f"{path} {'now' if new else 'still'} allows {' '.join(filter(None, (shown, where)))} ({item.why})")
    return status


def _digest_of(path: str) -> str | int:
    """The digest of a file that may be allowed, or the exit code where none is or need be."""
    from picklegate.scan import scan_file

    report = scan_file(path, policy=Policy())
    if report.verdict == Verdict.CLEAN:
        say(f"{path} is CLEAN: it needs no entry")
        return EXIT_CLEAN
    if report.verdict == Verdict.MALICIOUS:
        say(f"{path} is MALICIOUS and was not allowed: {sentences(report)[0]} Do not load it.")
        return EXIT_FOUND
    return report.sha256


def _name(text: str) -> str:
    from picklegate.capabilities import Callees
    from picklegate.containers.detect import claims
    from picklegate.judging.callables import executes
    from picklegate.pickles import canonical

    if _DIGEST.fullmatch(text):
        return text.lower()
    parts = text.split(".")
    if "/" in text or claims(text) or len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise click.UsageError(f"{text} is no file here, no SHA-256 and no import such as ours.models.Net")
    module, name = ".".join(parts[:-1]), parts[-1]
    callee = Callees().find(module, name)
    if executes(canonical(module, name)) or callee.primitive:
        harm = "runs code" if executes(canonical(module, name)) else f"can {callee.effects[0].kind}"
        raise click.UsageError(f"{text} {harm}: allowing it would let every file do so. Allow one file instead")
    sinks = [sink for sink in callee.sinks if sink != "registry"]
    if sinks:
        say(f"note: what {text} is given may reach {', '.join(sinks[:3])}")
    return text
