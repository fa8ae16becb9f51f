"""``picklegate policy``."""

from __future__ import annotations

from collections.abc import Iterator

import click

from picklegate import policy_file
from picklegate.batch import find, scan_found
from picklegate.cli.output import note, write
from picklegate.escape import escape
from picklegate.policy_file import Allowed, Settings
from picklegate.report import FileReport, Verdict


@click.group()
def policy() -> None:
    """Check the policy that the commands go by."""


@policy.command()
@click.argument("file", metavar="[FILE]", required=False)
@click.option(
    "--scan", "paths", multiple=True, metavar="PATH", help="Name the entries that no file at PATH needs; repeatable."
)
def check(file: str | None, paths: tuple[str, ...]) -> int:
    """Check a policy file, or those that apply here.

    It shows the policy that the files give, and warns of entries that have no
    effect. An error names the file and the key, with exit code 2.
    """
    settings = policy_file.load(file)
    write("\n".join(_told(settings)) + "\n", None)
    for doubt in policy_file.doubts(settings):
        note(f"warning: {doubt}")
    if paths:
        for line in _unused(settings, list(scan_found(find(paths), policy=policy_file.Settings().policy))):
            note(f"warning: {line}")
    return 0


def _told(found: Settings) -> Iterator[str]:
    for path in found.files:
        yield f"read {escape(str(path))}"
    if not found.files:
        yield "no policy file applies here: these are the defaults"
    above = " and above" if found.policy.block_from < Verdict.MALICIOUS else ""
    yield f"blocks {found.policy.block_from}{above}"
    yield f"on a block: {found.policy.on_block}"
    if found.policy.prefer_safetensors:
        yield "prefers safetensors"
    if found.policy.block_unjudged:
        yield "blocks formats that picklegate does not analyse"
    if found.policy.strict:
        yield "calls functions suspicious that nothing is known of"
    if found.quarantine:
        yield f"quarantine in {escape(str(found.quarantine))}"
    for items, noun in ((found.imports, "import"), (found.digests, "digest"), (found.effects, "effect")):
        for item in items:
            yield f"{'no longer allows' if item.expired else 'allows'} the {noun} {_allowed(item)}"
    for path, words in found.laxer:
        yield f"{escape(str(path))} makes it laxer: {escape(words)}"


def _allowed(item: Allowed) -> str:
    where = f" in {escape(item.repo)}" if item.repo else ""
    return f"{escape(item.what, 200)}{where} ({escape(item.why, 300)})"


def _unused(settings: Settings, reports: list[FileReport]) -> Iterator[str]:
    """The entries that none of these files needs."""
    blocked = [report for report in reports if report.verdict > Verdict.CLEAN]
    digests = {report.sha256 for report in blocked}
    names = {call.callee for report in blocked for stream in report.streams for call in stream.calls}
    for item in settings.digests:
        if item.what not in digests:
            yield f"the digest {item.what} ({escape(item.reason, 200)}) is that of no blocked file here"
    for item in settings.imports:
        if item.what not in names:
            yield f"the import {item.what} ({escape(item.reason, 200)}) is called by no blocked file here"
