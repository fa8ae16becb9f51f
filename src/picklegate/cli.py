"""The command line: arguments in, reports out, exit codes; it decides nothing."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from typing import TextIO

import click

from picklegate import __version__
from picklegate.errors import GateError
from picklegate.render import as_json, text
from picklegate.render.escape import escape
from picklegate.render.summary import sentence
from picklegate.report import FileReport, Finding, Verdict

EXIT_CLEAN = 0
EXIT_FOUND = 1
EXIT_UNSCANNABLE = 2
EXIT_INTERRUPTED = 130
"""What a shell reports of a program that SIGINT ended."""


def main() -> None:
    """Runs the command line; a failure of the program itself never leaves with the exit code of a finding."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = cli.main(prog_name="picklegate", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        status = EXIT_INTERRUPTED
    except (GateError, OSError) as error:
        _say(str(error))
        status = EXIT_UNSCANNABLE
    except Exception:  # noqa: BLE001 - whatever it is, Python's own exit code 1 would read as a finding
        traceback.print_exc()
        status = EXIT_UNSCANNABLE
    sys.exit(status)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Read pickle files without running them, and tell which are hostile."""


@cli.command()
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
        _say(f"interrupted, after {sentence(reports)}")
    if form == "json":
        _write(as_json.render(reports, complete=complete), output)
    else:
        _write(text.render(reports, colour=output is None and _wants_colour()), output)
    if not complete:
        return EXIT_INTERRUPTED
    if not reports:
        _say("no files found")
    elif output:
        _say(sentence(reports))
    return _status(reports)


@cli.command()
def demo() -> int:
    """Watch the gate at work, on this machine alone.

    A small Hub on loopback offers an ordinary and a hostile model. The first
    arrives, the second is refused. It takes seconds, needs no internet and no
    torch, and leaves nothing behind.
    """
    from picklegate.demo.tour import run

    return run(click.echo)


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
                status = os.stat(path)
                if (status.st_dev, status.st_ino) not in entered:
                    entered.add((status.st_dev, status.st_ino))
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
    _say(message if message.startswith(path) else f"{path}: {message}")
    finding = Finding(code=code, verdict=Verdict.UNSCANNABLE, message=message)
    return FileReport(name=path, container="unknown", size=0, findings=(finding,))


def _status(reports: Iterable[FileReport]) -> int:
    verdicts = {report.verdict for report in reports}
    if verdicts & {Verdict.SUSPICIOUS, Verdict.MALICIOUS}:
        return EXIT_FOUND
    return EXIT_UNSCANNABLE if Verdict.UNSCANNABLE in verdicts else EXIT_CLEAN


def _wants_colour() -> bool:
    return (
        sys.stdout is not None
        and sys.stdout.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )


def _write(report: str, output: TextIO | None) -> None:
    try:
        click.echo(report, file=output, nl=False)
    except OSError as error:
        if output is None:
            # What is left in the buffer must not fail once more when the interpreter flushes it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # A reader that has seen enough, as `head` has, is no failure.
        if not isinstance(error, BrokenPipeError):
            raise


def _say(message: str) -> None:
    click.echo(f"picklegate: {escape(message, 1000)}", err=True)
