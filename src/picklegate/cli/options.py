"""Options that several commands have, and what they come to."""

from __future__ import annotations

import functools
import io
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from importlib import import_module
from typing import Any, BinaryIO, TextIO

import click

from picklegate import paths, policy_file
from picklegate.cli.baseline import Known, new, read
from picklegate.cli.output import (
    DEBUG,
    NORMAL,
    QUIET,
    VERBOSE,
    note,
    set_verbosity,
    status,
    verbosity,
    wants_colour,
    width,
)
from picklegate.cli.progress import Progress
from picklegate.policy import Policy
from picklegate.policy_file import Settings
from picklegate.report import FileReport, Verdict

FORMATS = ("text", "json", "sarif", "html", "markdown", "github")

output = click.option(
    "-o", "--output", type=click.File("w", encoding="utf-8", lazy=False), help="Write the report there, not to stdout."
)
form = click.option("--format", "form", type=click.Choice(FORMATS), help="Output format; text, if not given.")
also = click.option(
    "--also",
    type=(click.Choice(FORMATS), click.File("w", encoding="utf-8", lazy=False)),
    multiple=True,
    metavar="FORMAT FILE",
    help="Write the report in this format there, too; repeatable.",
)
jobs = click.option("-j", "--jobs", type=click.IntRange(min=1), metavar="N", help="Processes; one for each processor.")
fail_on = click.option(
    "--fail-on",
    type=click.Choice(["suspicious", "unscannable", "malicious"]),
    callback=lambda _, __, value: value and Verdict[value.upper()],
    help="The least verdict that fails; that from which the policy blocks, if not given.",
)


require_judged = click.option(
    "--require-judged", is_flag=True, help="Fail also on formats that picklegate does not analyse, such as HDF5."
)


def _talking(_: click.Context, __: click.Parameter, level: int | None) -> None:
    if level is not None:
        set_verbosity(level)


def talking(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say how much is said."""
    for flag, level, words in (
        ("--debug", DEBUG, "Show the log, and the traceback of an error."),
        ("-v/--verbose", VERBOSE, "Say more: each clean file, and the policy files that were read."),
        ("-q/--quiet", QUIET, "Say less: no progress, no notes, no clean files."),
    ):
        told: dict[str, Any] = {"is_eager": True, "expose_value": False, "callback": _talking, "help": words}
        command = click.option(*flag.split("/"), flag_value=level, type=int, **told)(command)
    return command


def _settings(context: click.Context, _: click.Parameter, path: str | None) -> Settings:
    """The settings of the files that apply, once it is said on stderr what they make laxer."""
    found = policy_file.load(path)
    for file in found.files:
        note(f"policy: {file}", at=VERBOSE)
    if path is None:
        for file, words in found.laxer:
            note(f"{file} makes the policy laxer: {words}")
    for item in found.expired:
        note(f"{item.what} is no longer allowed: that ended with {item.expires} ({item.reason})")
    if found.quarantine and not os.environ.get(paths.QUARANTINE):
        os.environ[paths.QUARANTINE] = str(found.quarantine)
        context.call_on_close(lambda: os.environ.pop(paths.QUARANTINE, None))
    return found


settings = click.option(
    "--policy", "settings", metavar="FILE", callback=_settings, help="Use this policy file alone (docs/policy.md)."
)


baseline = click.option(
    "--baseline",
    type=click.Path(exists=True, dir_okay=False),
    callback=lambda _, __, path: path and read(path),
    help="A JSON report: show and fail only on what it does not have for the same content.",
)


scheduler = click.option(
    "--scheduler", metavar="ADDRESS", help="Let the workers of a Dask cluster scan; they must see the same files."
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
    if not re.fullmatch(r"(\w+://)?[^/\s]+:\d+", address):
        raise click.UsageError(f"--scheduler {address}: write the address as tcp://HOST:PORT")
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # its own lines would stand beside ours
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise click.UsageError(f"no Dask scheduler answers at {address}") from error
    with client:
        yield client.get_executor(pure=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reporting:
    """What the options of a command say that scans many files and reports on them."""

    form: str | None
    output: TextIO | None
    jobs: int | None
    scheduler: str | None
    fail_on: Verdict | None
    baseline: Known | None
    settings: Settings
    also: tuple[tuple[str, TextIO], ...]
    require_judged: bool

    @property
    def policy(self) -> Policy:
        """The policy to go by."""
        policy = self.settings.policy
        return replace(policy, block_unjudged=True) if self.require_judged else policy

    @property
    def allowed(self) -> dict[str, str]:
        """The digests that are allowed, with the reasons."""
        return self.settings.allowances

    @property
    def hashes(self) -> bool:
        """Whether something shows or compares digests."""
        forms = {self.form or "text", *(form for form, _ in self.also)}
        return bool(forms - {"text", "github"}) or self.baseline is not None or bool(self.policy.allow_digests)

    def fresh(self, reports: Sequence[FileReport]) -> list[FileReport]:
        """The reports that the baseline does not have; says on stderr how many it has."""
        return new(reports, self.baseline)

    def status(self, reports: Iterable[FileReport]) -> int:
        """The exit code for these reports."""
        return status(reports, self.policy, self.fail_on)

    def render(self, reports: Sequence[FileReport], *, complete: bool) -> str:
        """The report in the format asked for; in GitHub Actions, text is followed by annotations."""
        if self.form == "json":
            return render_as("json")(reports, complete=complete, settings=self.settings)
        told: dict[str, Any] = {"complete": complete, "allowed": self.allowed}
        if self.form in (None, "text"):
            shown = render_as("text")(reports, **self.for_terminal(), **told)
            annotated = self.form is None and self.output is None and os.environ.get("GITHUB_ACTIONS") == "true"
            return shown + render_as("github")(reports, **told) if annotated else shown
        return render_as(str(self.form))(reports, **told)

    def write_also(self, reports: Sequence[FileReport], *, complete: bool) -> None:
        """Write the further reports."""
        for form, file in self.also:
            file.write(replace(self, form=form, output=file).render(reports, complete=complete))
            file.flush()

    def for_terminal(self) -> dict[str, Any]:
        """How text is laid out where it goes."""
        inside = self.output is None
        most = {QUIET: -1, NORMAL: MAX_CLEAN}.get(verbosity(), sys.maxsize)
        return {
            "colour": inside and wants_colour(),
            "width": width() if inside else None,
            "most_clean": most,
            "policy": self.policy,
        }


MAX_CLEAN = 20
"""Clean files that text lists; of more, it has the number."""


def render_as(form: str) -> Callable[..., str]:
    """The renderer of a format, imported when it is asked for."""
    module = import_module(f"picklegate.render.{'as_json' if form == 'json' else form}")
    renderer: Callable[..., str] = module.render
    return renderer


def reporting(command: Callable[..., int]) -> Callable[..., int]:
    """Adds the options of a command that scans many files; it gets what they say as ``wanted``."""

    @functools.wraps(command)
    def gathered(**given: Any) -> int:
        wanted = Reporting(**{field.name: given.pop(field.name) for field in fields(Reporting)})
        return command(wanted=wanted, **given)

    call: Callable[..., int] = gathered
    for option in (talking, settings, baseline, require_judged, fail_on, scheduler, jobs, also, output, form):
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
    """The reports, with a line on stderr that says how many there are."""
    with Progress("scanning", total, quiet=verbosity() == QUIET) as shown:
        for report in reports:
            shown.step()
            yield report
