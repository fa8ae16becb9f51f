"""Addresses of the Hub on the command line: hf://..., pages of the Hub, and org/name where nothing else is meant.

``hf://[datasets/|spaces/]org/name[@revision][/path]`` and
``https://huggingface.co/[datasets/|spaces/]org/name[/(blob|resolve|raw|tree)/revision[/path]]``
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit

import click

from picklegate.cli.output import QUIET, in_words, note, verbosity
from picklegate.cli.progress import Progress
from picklegate.errors import GateError
from picklegate.policy import Policy
from picklegate.render.summary import plural
from picklegate.report import FileReport

SCHEME = "hf://"
_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")

_ADDRESS = re.compile(
    r"(?:hf://)?(?:(?P<kind>model|dataset|space)s/)?(?P<repo>[^/@:]+(?:/[^/@:]+)?)"
    r"(?:@(?P<revision>refs/[^/]+/[^/]+|[^/]+))?(?:/(?P<path>.+?))?/?"
)
_PAGE = re.compile(
    r"(?:(?P<kind>dataset|space)s/)?(?P<repo>[^/@:]+(?:/(?!(?:blob|resolve|raw|tree)/)[^/@:]+)?)"
    r"(?:/(?:blob|resolve|raw|tree)/(?P<revision>refs/[^/]+/[^/]+|[^/]+)(?:/(?P<path>.+?))?)?/?"
)
_NOT_READ = re.compile(r"(?:hf://)?(?P<kind>buckets|collections|papers|docs|blog|kernels)/")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")

_MOST_HINTS = 3
_STATUS = re.compile(r"\d{3} (Client|Server) Error")


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """A repository of the Hub, at a revision where one is given, and a path in it."""

    repo_id: str
    repo_type: str | None
    revision: str | None
    path: str


def is_address(text: str) -> bool:
    """Whether a path on the command line is meant for the Hub."""
    return text.startswith((SCHEME, "https://", "http://"))


def hint(path: str) -> str:
    """What to write instead of a path that is missing and looks like a repository's name."""
    if _REPOSITORY.fullmatch(path) and not os.path.lexists(path) and not os.path.isdir(os.path.dirname(path)):
        return f" (for the repository on the Hub, write {SCHEME}{path})"
    return ""


def parse(text: str) -> Address:
    """Read an address; raises click.UsageError, which says what to write."""
    rest, pattern = text, _ADDRESS
    if text.startswith(("https://", "http://")):
        parts = urlsplit(text)
        endpoint = urlsplit(os.environ.get("HF_ENDPOINT", "")).netloc
        if parts.netloc not in (*_HOSTS, *filter(None, [endpoint])):
            raise click.UsageError(f"{text} is not a page of the Hub: download the file, and scan that")
        rest, pattern = parts.path.strip("/"), _PAGE
    other = _NOT_READ.match(rest)
    if other:
        raise click.UsageError(
            f"{text}: {other['kind']} are not read: download the files, and scan those, or write hf://org/name"
        )
    match = pattern.fullmatch(rest)
    if match is None:
        raise click.UsageError(f"{text} is no address of the Hub: write hf://org/name[@revision][/path]")
    revision = match["revision"]
    return Address(
        repo_id=match["repo"],
        repo_type=match["kind"],
        revision=unquote(revision) if revision else None,
        path=unquote(match["path"] or "") if pattern is _PAGE else match["path"] or "",
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
        # Behind it the client says what to do, such as to log in.
        hints = [line for line in lines[lines.index(reason) + 1 :] if line != reason] if reason in lines else []
        said = ". ".join(line.rstrip(".") for line in (reason, *hints[:_MOST_HINTS]))
        raise GateError(f"{subject}: {said}") from error


def scan_address(
    text: str, *, include: Sequence[str], exclude: Sequence[str], policy: Policy
) -> tuple[FileReport, ...]:
    """The reports on what is at an address, by reading parts of it; says what that took."""
    from picklegate.hub.download import scan_repo

    address = parse(text)
    within = [glob.escape(address.path), f"{glob.escape(address.path)}/*"] if address.path else None
    if within and include:
        raise click.UsageError("--include is for whole repositories: leave out the path in the address")
    with spoken(text), Progress(f"judging {text}", quiet=verbosity() == QUIET):
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
    read = f"judged on {found.bytes_read:,} bytes in {plural(found.requests, 'request')}"
    note(f"{found.name}: {plural(len(found.files), 'file')} of {size:,} bytes, {read}")
    if found.code:
        shown = ", ".join(found.code[:3]) + (", ..." if len(found.code) > 3 else "")
        note(f"{found.name}: {plural(len(found.code), 'file')} of code beside the weights, not judged: {shown}")
    for report in found.files:
        for finding in report.findings:
            if finding.code == "hub.status":
                note(f"{report.name}: {finding.message}")
    return found.files


@contextlib.contextmanager
def opened(text: str, policy: Policy) -> Iterator[tuple[BinaryIO, str]]:
    """The file at an address, of which parts are read, and its name in reports."""
    from picklegate.hub.preview import Preview

    address = parse(text)
    if not address.path:
        raise click.UsageError(f"{text} is a repository: name a file in it, as in hf://org/name/model.pt")
    with spoken(text):
        preview = Preview(address.repo_id, repo_type=address.repo_type, policy=policy, options={})
        entry = preview.entry(address.path, address.revision or "main")
        yield cast("BinaryIO", preview.file(entry)), preview.address(entry.path, entry.commit)
