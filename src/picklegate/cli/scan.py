"""``picklegate scan``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import click

from picklegate.batch import Found, find, scan_found, unreadable
from picklegate.cli import options
from picklegate.cli.addresses import hint, is_address, scan_address
from picklegate.cli.output import EXIT_INTERRUPTED, NORMAL, QUIET, VERBOSE, note, say, verbosity, write
from picklegate.cli.progress import Progress
from picklegate.policy import Policy
from picklegate.render.summary import plural, sentence
from picklegate.report import FileReport

LEFT_OUT = frozenset((".git", ".hg", ".svn", ".venv", "venv", "node_modules", "__pycache__", ".tox", ".nox"))
"""Folders that hold no models: version control, environments and caches of tools."""
_VERSIONS = frozenset((".git", ".hg", ".svn"))
"""Those of them that are in every project, and not worth a line."""


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--include", multiple=True, metavar="GLOB", help="In folders, scan only what matches; repeatable.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="In folders, leave out what matches; repeatable.")
@click.option(
    "--default-excludes/--no-default-excludes",
    default=True,
    help="Leave out the folders .git, .venv, node_modules, __pycache__ and their like; the default.",
)
@options.reporting
def scan(
    paths: tuple[str, ...],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    default_excludes: bool,  # noqa: FBT001 (click gives it by name)
    wanted: options.Reporting,
) -> int:
    """Scan files, folders and repositories for hostile pickles.

    Nothing is loaded, imported or run. What a file is shows in its bytes, not
    in its name. A PATH of - is standard input. hf://org/name, or the address of
    a page of the Hub, is a repository, of which only parts are read;
    hf://org/name@revision/path is one file or folder in it (hf://datasets/...
    and hf://spaces/... are the other kinds).

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
    left_out = _LeftOut(LEFT_OUT if default_excludes else frozenset())
    complete = False
    try:
        with options.cluster(wanted.scheduler) as executor:
            with Progress("finding files", quiet=verbosity() == QUIET) as shown:
                found = []
                for one in _find(paths, include, exclude, left_out, wanted.policy):
                    found.append(one)
                    shown.step()
            made = scan_found(found, policy=wanted.policy, executor=executor, jobs=wanted.jobs, digest=wanted.hashes)
            for report in options.progress(made, len(found)):
                reports.append(report)
                _tell(report)
        complete = True
    except KeyboardInterrupt:
        say(f"interrupted, after {sentence(reports)}")
    left_out.tell()
    fresh = wanted.fresh(reports)
    write(wanted.render(reports if wanted.form in ("json", "sarif") else fresh, complete=complete), wanted.output)
    wanted.write_also(reports, complete=complete)
    if not complete:
        return EXIT_INTERRUPTED
    if not reports:
        note("no files found")
    elif wanted.output:
        note(sentence(reports, wanted.allowed))
    return wanted.status(fresh)


class _LeftOut:
    """Which folders are not entered, and how many there were of each name."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._met: dict[str, int] = {}

    def __call__(self, path: str) -> bool:
        name = os.path.basename(path)
        if name not in self._names:
            return False
        self._met[name] = self._met.get(name, 0) + 1
        return True

    def tell(self) -> None:
        if self._met:
            folders = plural(sum(self._met.values()), "folder")
            usual = self._met.keys() <= _VERSIONS
            words = f"left out {folders} ({', '.join(sorted(self._met))}); --no-default-excludes scans them, too"
            note(words, at=VERBOSE if usual else NORMAL)


def _find(
    paths: Iterable[str], include: Sequence[str], exclude: Sequence[str], left_out: _LeftOut, policy: Policy
) -> Iterator[Found]:
    for kind, group in groupby(paths, key=lambda path: path if path == "-" else is_address(path)):
        if kind == "-":
            yield Found(path="-", report=_standard_input(policy))
        elif kind:
            for address in group:
                reports = scan_address(address, include=include, exclude=exclude, policy=policy)
                yield from (Found(path=report.name, report=report) for report in reports)
        else:
            yield from find(group, include=include, exclude=exclude, left_out=left_out)


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
            say(f"{message if message.startswith(report.name) else f'{report.name}: {message}'}{hint(report.name)}")
