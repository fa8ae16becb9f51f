"""Addresses of the Hub on the command line: ``hf://[datasets/|spaces/]org/name[@revision][/path]``."""

from __future__ import annotations

import contextlib
import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import click

from picklegate.cli.output import in_words, say
from picklegate.errors import GateError
from picklegate.policy import Policy
from picklegate.report import FileReport

SCHEME = "hf://"

_ADDRESS = re.compile(
    r"(?:hf://)?(?:(?P<kind>model|dataset|space)s/)?(?P<repo>[^/@:]+(?:/[^/@:]+)?)"
    r"(?:@(?P<revision>refs/[^/]+/[^/]+|[^/]+))?(?:/(?P<path>.+?))?/?"
)

_STATUS = re.compile(r"\d{3} (Client|Server) Error")


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """A repository of the Hub, at a revision where one is given, and a path in it."""

    repo_id: str
    repo_type: str | None
    revision: str | None
    path: str


def parse(text: str) -> Address:
    """Read an address; raises click.UsageError."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise click.UsageError(f"{text} is no address of the Hub: write hf://org/name[@revision][/path]")
    revision = match["revision"]
    return Address(
        repo_id=match["repo"],
        repo_type=match["kind"],
        revision=unquote(revision) if revision else None,
        path=match["path"] or "",
    )


@contextlib.contextmanager
def spoken(subject: str) -> Iterator[None]:
    """Make of what the client raises one sentence, as a GateError."""
    try:
        yield
    except (GateError, click.ClickException):
        raise
    except Exception as error:
        lines = [line.strip() for line in in_words(error).splitlines() if line.strip()] or [type(error).__name__]
        # Of an answer with a status the client says what it means in the lines behind the status.
        reason = next((line for line in lines if not _STATUS.match(line)), lines[0])
        # What the client's transport says of a host that does not answer is the system's error number and text.
        reason = re.sub(r"^\[Errno -?\d+\] ", "the Hub cannot be reached: ", reason)
        raise GateError(f"{subject}: {reason.rstrip('.')}") from error


def scan_address(
    text: str, *, include: Sequence[str], exclude: Sequence[str], policy: Policy
) -> tuple[FileReport, ...]:
    """The reports on what is at an address, by reading parts of it; says what that took."""
    from picklegate.hub.download import scan_repo

    address = parse(text)
    within = [glob.escape(address.path), f"{glob.escape(address.path)}/*"] if address.path else None
    if within and include:
        raise click.UsageError("--include is for whole repositories: leave out the path in the address")
    with spoken(text):
        found = scan_repo(
            address.repo_id,
            repo_type=address.repo_type,
            revision=address.revision,
            allow_patterns=within or list(include) or None,
            ignore_patterns=list(exclude) or None,
            policy=policy,
        )
    if within and not found.files:
        raise GateError(f"{text}: there is no such file or folder at commit {found.commit[:12]}")
    size = sum(report.size for report in found.files)
    count = f"{len(found.files):,} file{'' if len(found.files) == 1 else 's'}"
    say(f"{found.name}: {count} of {size:,} bytes, judged on {found.bytes_read:,} bytes in {found.requests:,} requests")
    for report in found.files:
        for finding in report.findings:
            if finding.code == "hub.status":
                say(f"{report.name}: {finding.message}")
    return found.files
