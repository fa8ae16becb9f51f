"""Scan a file, bytes or any seekable binary file: the one place where reading and judging meet."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from picklegate import containers
from picklegate.capabilities import Callees, Environment
from picklegate.containers import Stream
from picklegate.judging.judge import judge, local_findings
from picklegate.limits import Clock
from picklegate.pickles import Trace
from picklegate.pickles.disassembly import around
from picklegate.policy import Policy, PolicyOption, chosen
from picklegate.report import FileReport, StreamReport, Verdict


def scan_file(path: str | os.PathLike[str], *, policy: PolicyOption = None, digest: bool = True) -> FileReport:
    """Scan the regular file at ``path``; raises OSError for what cannot be opened or is no regular file.

    Without ``digest`` the content is not hashed and ``sha256`` stays empty.
    """
    with open_regular(path) as file:
        return scan_stream(file, name=os.fspath(path), policy=policy, digest=digest)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open the regular file at ``path``; raises OSError for any other, before a pipe could keep it waiting."""
    name = os.fspath(path)
    # pathlib's own work is longer than the reading of a small pickle.
    mode = os.stat(name).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{name} is a directory: name its files, or use `picklegate scan`")
    if not stat.S_ISREG(mode):
        raise OSError(f"{name} is no regular file: copy what it yields to a file and scan that")
    return open(name, "rb")


def scan_bytes(data: bytes, *, name: str = "<bytes>", policy: PolicyOption = None) -> FileReport:
    """Scan an artifact held in memory; ``name`` stands in the report."""
    return scan_stream(io.BytesIO(data), name=name, policy=policy)


def scan_stream(
    file: BinaryIO, *, name: str, policy: PolicyOption = None, digest: bool = True, briefly: bool = False
) -> FileReport:
    """Scan a seekable binary file from its start; its position afterwards is the start again.

    With ``briefly``, where reading costs requests it ends as soon as the file is known to be MALICIOUS.
    """
    return scan_traces(file, name=name, policy=policy, digest=digest, briefly=briefly)[0]


def scan_traces(
    file: BinaryIO, *, name: str, policy: PolicyOption = None, digest: bool = True, briefly: bool = False
) -> tuple[FileReport, list[Trace]]:
    """What ``scan_stream`` returns, and the trace of each stream in the report."""
    policy = chosen(policy)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    sha256 = sha256_of(file) if digest else ""

    def enough(found: Trace) -> bool:
        return judge("", found, policy).verdict == Verdict.MALICIOUS

    clock = Clock(policy.limits.max_seconds)
    contents = containers.read(file, name=name, limits=policy.limits, enough=enough if briefly else None, clock=clock)
    file.seek(0)
    clock.start(policy.limits.max_seconds)
    streams = [pair for stream in contents.streams for pair in flat(stream)]
    callees = Callees(environment=Environment(policy.environment)) if policy.environment else None
    local = (local_findings(label, trace, policy, callees) for label, trace in streams) if callees else ()
    report = FileReport(
        name=name,
        container=contents.container,
        size=size,
        sha256=sha256,
        streams=tuple(_judged(label, trace, policy, clock) for label, trace in streams),
        findings=contents.findings,
        unjudged=contents.unjudged,
        local_findings=tuple(finding for found in local for finding in found),
    )
    return report, [trace for _, trace in streams]


def with_digest(report: FileReport, file: BinaryIO) -> FileReport:
    """The report on a file with the digest of its bytes; the position of ``file`` afterwards is its start."""
    file.seek(0)
    return report if report.sha256 else replace(report, sha256=sha256_of(file))


def _judged(name: str, found: Trace, policy: Policy, clock: Clock) -> StreamReport:
    """The stream's report, with the opcodes around the worst of its findings."""
    report = judge(name, found, policy, clock=clock)
    if report.verdict == Verdict.CLEAN:
        return report
    worst = max(report.findings, key=lambda finding: finding.verdict)
    place = found.end if worst.offset is None else worst.offset
    return replace(report, disassembly=around(found, place))


def flat(stream: Stream) -> Iterator[tuple[str, Trace]]:
    """The stream, and those that its own calls would load."""
    pending = [(stream.name, stream.trace)]
    while pending:
        name, found = pending.pop()
        yield name, found
        pending.extend((f"{name} > {loader}", inner) for loader, inner in found.nested)


def sha256_of(file: BinaryIO) -> str:
    """The hexadecimal SHA-256 of a seekable file from its position on; its position afterwards is the start."""
    hashed = hashlib.sha256()
    while chunk := file.read(1 << 20):
        hashed.update(chunk)
    file.seek(0)
    return hashed.hexdigest()
