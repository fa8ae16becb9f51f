"""Options that several commands have, and what they come to."""

from __future__ import annotations

import functools
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, BinaryIO, TextIO

import click

from picklegate import paths, policy_file
from picklegate.cli.baseline import Known, new, read
from picklegate.cli.output import say, status
from picklegate.policy import Policy
from picklegate.report import FileReport, Verdict

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
    found = policy_file.load(path)
    if path is None:
        for file, words in found.laxer:
            say(f"{file} makes the policy laxer: {words}")
    for item in found.expired:
        say(f"{item.what} is no longer allowed: that ended with {item.expires} ({item.reason})")
    if found.quarantine and not os.environ.get(paths.QUARANTINE):
        os.environ[paths.QUARANTINE] = str(found.quarantine)
        context.call_on_close(lambda: os.environ.pop(paths.QUARANTINE, None))
    return found.policy


policy = click.option(
    "--policy", metavar="FILE", callback=_policy, help="Go by this policy file alone (docs/policy.md)."
)


baseline = click.option(
    "--baseline",
    type=click.Path(exists=True, dir_okay=False),
    callback=lambda _, __, path: path and read(path),
    help="A JSON report: what it found in the same content does not fail again.",
)


scheduler = click.option(
    "--scheduler", metavar="ADDRESS", help="Let the workers of a Dask cluster scan; they see the same files."
)


@contextmanager
def cluster(address: str | None) -> Iterator[Executor | None]:
    """The executor of the cluster whose scheduler is at ``address``; None without one."""
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise click.UsageError("--scheduler needs Dask: install picklegate[cluster]") from error
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise click.UsageError(f"no Dask scheduler answers at {address}: {error}") from error
    with client:
        yield client.get_executor(pure=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reporting:
    """What the options of a command say that scans many files and reports on them."""

    form: str
    output: TextIO | None
    jobs: int | None
    scheduler: str | None
    fail_on: Verdict | None
    baseline: Known | None
    policy: Policy

    def status(self, reports: Iterable[FileReport]) -> int:
        """The exit code for these reports."""
        return status(new(reports, self.baseline), self.policy, self.fail_on)


def reporting(command: Callable[..., int]) -> Callable[..., int]:
    """Adds the options of a command that scans many files; it gets what they say as ``wanted``."""

    @functools.wraps(command)
    def call(**given: Any) -> int:
        wanted = Reporting(**{field.name: given.pop(field.name) for field in fields(Reporting)})
        return command(wanted=wanted, **given)

    for option in (policy, baseline, fail_on, scheduler, jobs, output, form):
        call = option(call)
    return call


def standard_input() -> BinaryIO:
    """All of standard input as a seekable file; raises OSError where there is nothing in it."""
    if sys.stdin is None:
        raise OSError("standard input is closed")
    source = sys.stdin.buffer
    if source.seekable():
        file: BinaryIO = source
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115 (the caller reads it)
        # In pieces, so that Ctrl-C is heeded between them and memory holds one.
        shutil.copyfileobj(source, file, 1 << 20)
    if not file.seek(0, io.SEEK_END):
        raise OSError("standard input is empty, so nothing was scanned")
    return file


def progress(reports: Iterable[FileReport], total: int) -> Iterator[FileReport]:
    """The reports, with a bar on stderr while they come; without one where stderr is no terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield from reports
        return
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # no thread beside the processes that are started
    yield from tqdm(reports, total=total, unit=" files", delay=0.5, leave=False, dynamic_ncols=True)
