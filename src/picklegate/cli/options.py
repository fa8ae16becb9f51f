"""Options that several commands have, and what they come to."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import click

from picklegate import places, settings
from picklegate.cli.output import say
from picklegate.policy import Policy
from picklegate.report import FileReport, Verdict

_Command = TypeVar("_Command", bound=Callable[..., Any])

FORMATS = ("text", "json", "sarif", "html")

output = click.option(
    "-o", "--output", type=click.File("w", encoding="utf-8", lazy=False), help="Write the report there, not to stdout."
)
form = click.option("--format", "form", type=click.Choice(FORMATS), default="text", help="Form of the report.")
jobs = click.option("-j", "--jobs", type=click.IntRange(min=1), metavar="N", help="Processes; one for each processor.")
fail_on = click.option(
    "--fail-on",
    type=click.Choice(["suspicious", "unscannable", "malicious"]),
    callback=lambda _, __, value: value and Verdict[value.upper()],
    help="The least verdict that fails; that from which the policy blocks, if not given.",
)


def _policy(context: click.Context, _: click.Parameter, path: str | None) -> Policy:
    """The policy of the files that apply, once it is said on stderr what they make laxer."""
    found = settings.load(path)
    if path is None:
        for file, words in found.laxer:
            say(f"{file} makes the policy laxer: {words}")
    for item in found.expired:
        say(f"{item.what} is no longer allowed: that ended with {item.expires} ({item.reason})")
    if found.quarantine and not os.environ.get(places.QUARANTINE):
        os.environ[places.QUARANTINE] = str(found.quarantine)
        context.call_on_close(lambda: os.environ.pop(places.QUARANTINE, None))
    return found.policy


policy = click.option(
    "--policy", metavar="FILE", callback=_policy, help="Go by this policy file alone (docs/policy.md)."
)


baseline = click.option(
    "--baseline",
    type=click.Path(exists=True, dir_okay=False),
    help="A JSON report: what it found in the same content does not fail again.",
)


def reporting(command: _Command) -> _Command:
    """Adds the options of a command that scans many files and reports on them."""
    for option in (policy, baseline, fail_on, jobs, output, form):
        command = option(command)
    return command


def progress(reports: Iterable[FileReport], total: int) -> Iterator[FileReport]:
    """The reports, with a bar on stderr while they come; without one where stderr is no terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield from reports
        return
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # no thread beside the processes that are started
    yield from tqdm(reports, total=total, unit=" files", delay=0.5, leave=False, dynamic_ncols=True)
