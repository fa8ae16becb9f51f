"""``picklegate explain``."""

from __future__ import annotations

from typing import TextIO

import click

from picklegate import explain as explanations
from picklegate.cli import options
from picklegate.cli.addresses import hint, is_address, opened
from picklegate.cli.output import QUIET, status, verbosity, wants_colour, width, write
from picklegate.cli.progress import Progress
from picklegate.policy import Policy
from picklegate.policy_file import Settings
from picklegate.render import explanation


@click.command()
@click.argument("path", metavar="FILE")
@click.option("--disassemble", is_flag=True, help="Show the opcodes, too.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Output format.")
@options.output
@options.settings
@options.talking
def explain(
    path: str,
    disassemble: bool,  # noqa: FBT001 (click gives it by name)
    form: str,
    output: TextIO | None,
    settings: Settings,
) -> int:
    """Show what loading a file would do, step by step.

    Imports and calls stand in the order of loading, each call with its score
    and what made the score. For a clean file it says why it is clean, and which
    names torch.load(weights_only=True) would have to be given. A FILE of - is
    standard input; hf://org/name/path is a file of the Hub, of which only parts
    are read.

    \b
    Exit codes:
      0  the file is clean
      1  it is suspicious or malicious
      2  it could not be scanned, or the command was misused
    """  # noqa: D301 - see scan
    policy = settings.policy
    with Progress(f"explaining {path}", quiet=verbosity() == QUIET):
        found = _explained(path, policy, listing=disassemble)
    if form == "json":
        write(explanation.to_json(found), output)
    else:
        colour, columns = (wants_colour(), width()) if output is None else (False, None)
        write(explanation.render(found, listing=disassemble, colour=colour, width=columns, policy=policy), output)
    return status([found.report], policy)


def _explained(path: str, policy: Policy, *, listing: bool) -> explanations.Explanation:
    if path == "-":
        with options.standard_input() as file:
            return explanations.explain_stream(file, name=path, policy=policy, listing=listing)
    if is_address(path):
        with opened(path, policy) as (file, name):
            return explanations.explain_stream(file, name=name, policy=policy, listing=listing, digest=False)
    try:
        return explanations.explain_file(path, policy=policy, listing=listing)
    except FileNotFoundError as error:
        raise FileNotFoundError(error.errno, f"{error.strerror}{hint(path)}", path) from error
