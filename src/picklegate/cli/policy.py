"""``picklegate policy``."""

from __future__ import annotations

from collections.abc import Iterator

import click

from picklegate import policy_file
from picklegate.cli.output import write
from picklegate.escape import escape
from picklegate.policy_file import Allowed, Settings


@click.group()
def policy() -> None:
    """Look at the policy that the commands go by."""


@policy.command()
@click.argument("file", metavar="[FILE]", required=False)
def check(file: str | None) -> int:
    """Check a policy file, or those that apply here.

    It tells what they come to. An error names the file and the key, with exit code 2.
    """
    write("\n".join(_told(policy_file.load(file))) + "\n", None)
    return 0


def _told(found: Settings) -> Iterator[str]:
    for path in found.files:
        yield f"read {escape(str(path))}"
    if not found.files:
        yield "no policy file applies here: these are the defaults"
    yield f"blocks from {found.policy.block_from} on"
    yield f"on a block: {found.policy.on_block}"
    if found.quarantine:
        yield f"quarantine in {escape(str(found.quarantine))}"
    for items, noun in ((found.imports, "import"), (found.digests, "digest")):
        for item in items:
            yield f"{'no longer allows' if item.expired else 'allows'} the {noun} {_allowed(item)}"
    for path, words in found.laxer:
        yield f"{escape(str(path))} makes it laxer: {escape(words)}"


def _allowed(item: Allowed) -> str:
    until = f", until {item.expires}" if item.expires else ""
    return f"{escape(item.what, 200)} ({escape(item.reason, 200)}{until})"
