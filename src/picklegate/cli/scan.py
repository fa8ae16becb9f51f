"""``picklegate scan``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TextIO

import click

from picklegate.cli.output import EXIT_INTERRUPTED, say, status, wants_colour, write
from picklegate.errors import GateError
from picklegate.render import as_json, text
from picklegate.render.summary import sentence
from picklegate.report import FileReport, Finding, Verdict


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the report.")
@click.option(
    "-o", "--output", type=click.File("w", encoding="utf-8", lazy=False), help="Write the report there, not to stdout."
)
def scan(paths: tuple[str, ...], form: str, output: TextIO | None) -> int:
    """Scan files and directories for hostile pickles.

    Nothing is loaded, imported or run, and what a file is shows in its bytes,
    not in its name. A PATH of - is standard input.

    \b
    Examples:
      picklegate scan model.pt
      picklegate scan checkpoints/ --format json -o report.json

    \b
    Exit codes:
      0  every file is clean
      1  a file is suspicious or malicious
      2  otherwise, a file could not be scanned, or the command was misused
    """  # noqa: D301 - click wants the backspace itself: it marks a paragraph whose lines are kept
    reports: list[FileReport] = []
    complete = False
    try:
        for report in _scan(paths):
            reports.append(report)  # noqa: PERF402 - one by one, for what is done stays when Ctrl-C comes
        complete = True
    except KeyboardInterrupt:
        say(f"interrupted, after {sentence(reports)}")
    if form == "json":
        write(as_json.render(reports, complete=complete), output)
    else:
        write(text.render(reports, colour=output is None and wants_colour()), output)
    if not complete:
        return EXIT_INTERRUPTED
    if not reports:
        say("no files found")
    elif output:
        say(sentence(reports))
    return status(reports)


def _scan(paths: Iterable[str]) -> Iterator[FileReport]:
    """Yields a report on each file; a directory is entered once, so that a loop of links ends."""
    from picklegate.scan import scan_bytes, scan_file

    entered: set[tuple[int, int]] = set()
    pending = [*paths][::-1]
    while pending:
        path = pending.pop()
        try:
            if path == "-":
                yield scan_bytes(sys.stdin.buffer.read(), name=path)
            elif os.path.isdir(path):
                entry = os.stat(path)
                if (entry.st_dev, entry.st_ino) not in entered:
                    entered.add((entry.st_dev, entry.st_ino))
                    pending.extend(os.path.join(path, name) for name in sorted(os.listdir(path), reverse=True))
            else:
                yield scan_file(path)
        except GateError:
            raise
        except OSError as error:
            yield _unscannable(path, "file.unreadable", error.strerror or str(error))
        except Exception as error:  # noqa: BLE001 - a defect that one file brings out must not cost the others their verdicts
            yield _unscannable(path, "file.crashed", f"picklegate failed on it, please report this ({error!r})")


def _unscannable(path: str, code: str, message: str) -> FileReport:
    say(message if message.startswith(path) else f"{path}: {message}")
    finding = Finding(code=code, verdict=Verdict.UNSCANNABLE, message=message)
    return FileReport(name=path, container="unknown", size=0, findings=(finding,))
