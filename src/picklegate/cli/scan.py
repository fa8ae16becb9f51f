"""``picklegate scan``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import click

from picklegate.batch import Found, find, scan_found, unreadable
from picklegate.cli import options
from picklegate.cli.addresses import SCHEME, scan_address
from picklegate.cli.output import EXIT_INTERRUPTED, rendered, say, wants_colour, write
from picklegate.policy import Policy
from picklegate.render.summary import sentence
from picklegate.report import FileReport


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--include", multiple=True, metavar="GLOB", help="In folders, scan only what matches; repeatable.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="In folders, leave out what matches; repeatable.")
@options.reporting
def scan(paths: tuple[str, ...], include: tuple[str, ...], exclude: tuple[str, ...], wanted: options.Reporting) -> int:
    """Scan files and directories for hostile pickles.

    Nothing is loaded, imported or run, and what a file is shows in its bytes,
    not in its name. A PATH of - is standard input; hf://org/name is a repository
    of the Hub, of which only parts are read, and hf://org/name@revision/path one
    file or folder in it (hf://datasets/..., hf://spaces/... are the other kinds).

    \b
    Examples:
      picklegate scan model.pt
      picklegate scan checkpoints/ --format json -o report.json
      picklegate scan hf://org/name
      picklegate scan . --exclude '*.safetensors' --format sarif -o picklegate.sarif

    \b
    Exit codes:
      0  every file is clean
      1  a file is suspicious or malicious
      2  otherwise, a file could not be scanned, or the command was misused
    """  # noqa: D301 - click wants the backspace itself: it marks a paragraph whose lines are kept
    reports: list[FileReport] = []
    complete = False
    try:
        found = list(_find(paths, include, exclude, wanted.policy))
        with options.cluster(wanted.scheduler) as executor:
            hashing = wanted.form != "text" or wanted.baseline is not None  # all that shows or compares digests
            made = scan_found(found, policy=wanted.policy, executor=executor, jobs=wanted.jobs, digest=hashing)
            for report in options.progress(made, len(found)):
                reports.append(report)
                _tell(report)
        complete = True
    except KeyboardInterrupt:
        say(f"interrupted, after {sentence(reports)}")
    colour = wanted.output is None and wants_colour()
    write(rendered(wanted.form, reports, policy=wanted.policy, complete=complete, colour=colour), wanted.output)
    if not complete:
        return EXIT_INTERRUPTED
    if not reports:
        say("no files found")
    elif wanted.output:
        say(sentence(reports))
    return wanted.status(reports)


def _find(paths: Iterable[str], include: Sequence[str], exclude: Sequence[str], policy: Policy) -> Iterator[Found]:
    for kind, group in groupby(paths, key=lambda path: path if path == "-" else path.startswith(SCHEME)):
        if kind == "-":
            yield Found(path="-", report=_standard_input(policy))
        elif kind:
            for address in group:
                reports = scan_address(address, include=include, exclude=exclude, policy=policy)
                yield from (Found(path=report.name, report=report) for report in reports)
        else:
            yield from find(group, include=include, exclude=exclude)


def _standard_input(policy: Policy) -> FileReport:
    from picklegate.scan import scan_stream

    try:
        with options.standard_input() as file:
            return scan_stream(file, name="-", policy=policy)
    except OSError as error:
        return unreadable("-", error)


def _tell(report: FileReport) -> None:
    """Say on stderr that a file could not be opened or read to its end."""
    for finding in report.findings:
        if finding.code.startswith("file."):
            message = finding.message
            say(message if message.startswith(report.name) else f"{report.name}: {message}")
