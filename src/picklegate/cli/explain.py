"""``picklegate explain``."""

from __future__ import annotations

from typing import TextIO

import click

from picklegate import explain as explanations
from picklegate.cli import options
from picklegate.cli.output import status, wants_colour, write
from picklegate.policy import Policy
from picklegate.render import explanation


@click.command()
@click.argument("path", metavar="FILE")
@click.option("--disassemble", is_flag=True, help="Show the opcodes, too.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the explanation.")
@options.output
@options.policy
def explain(
    path: str,
    disassemble: bool,  # noqa: FBT001 (click gives it by name)
    form: str,
    output: TextIO | None,
    policy: Policy,
) -> int:
    """Tell what loading a file would do, step by step.

    Imports and calls stand in the order of loading, with the score of each
    and what made it. For a clean file it says why it is clean, and which
    names torch.load(weights_only=True) would have to be given. A FILE of -
    is standard input.

    \b
    Exit codes:
      0  the file is clean
      1  it is suspicious or malicious
      2  it could not be scanned, or the command was misused
    """  # noqa: D301 - see scan
    if path == "-":
        with options.standard_input() as file:
            found = explanations.explain_stream(file, name=path, policy=policy, listing=disassemble)
    else:
        found = explanations.explain_file(path, policy=policy, listing=disassemble)
    if form == "json":
        write(explanation.to_json(found), output)
    else:
        write(explanation.render(found, listing=disassemble, colour=output is None and wants_colour()), output)
    return status([found.report], policy)
