"""Options that several commands have, and what they come to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import click

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


def reporting(command: _Command) -> _Command:
    """Adds the options of a command that scans many files and reports on them."""
    for option in (fail_on, jobs, output, form):
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
