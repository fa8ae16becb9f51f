"""``picklegate convert``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO

import click

from picklegate.cli import options
from picklegate.cli.addresses import is_address, opened
from picklegate.cli.output import QUIET, note, say, verbosity
from picklegate.cli.progress import Progress
from picklegate.convert import ConversionReport, convert_file, convert_stream
from picklegate.escape import escape
from picklegate.policy import Policy

_MOST_SHOWN = 20


@click.command()
@click.argument("path", metavar="FILE")
@click.option("-o", "--output", "target", type=click.Path(dir_okay=False, path_type=Path), required=True,
              help="The safetensors file to write.")  # fmt: skip
@click.option("--key", default="", metavar="NAME", help="Take only this part of the object, such as state_dict.")
@click.option("--data", type=click.File("w", encoding="utf-8", lazy=True), help="Write plain values there, as JSON.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Output format.")
@options.talking
def convert(path: str, target: Path, key: str, data: TextIO | None, form: str) -> int:
    """Write the tensors of a checkpoint as safetensors, without running it.

    Reads torch files (zip and legacy), npy, npz and pickles of numpy arrays.
    What is no tensor is listed and left out: a hostile file converts too, and
    its calls are not run. hf://org/name/path is a file of the Hub.

    \b
    Examples:
      picklegate convert model.ckpt -o model.safetensors
      picklegate convert model.ckpt -o model.safetensors --key state_dict

    \b
    Exit codes:
      0  the file was written
      2  it was not; the message says why
    """  # noqa: D301 - click wants the backspace itself: it marks a paragraph whose lines are kept
    with Progress(f"converting {path}", quiet=verbosity() == QUIET):
        if is_address(path):
            with opened(path, Policy()) as (file, name):
                report = convert_stream(file, target, name=name, key=key, digest=False)
        else:
            report = convert_file(path, target, key=key)
    if data is not None:
        json.dump(report.data, data, indent=2)
        data.write("\n")
    if form == "json":
        click.echo(json.dumps(report.to_dict(), indent=2))
    else:
        _tell(report)
    return 0


def _tell(report: ConversionReport) -> None:
    """What was written and what was left out, for a terminal."""
    count = len(report.tensors)
    say(f"wrote {count:,} tensor{'' if count == 1 else 's'} to {escape(report.target)}")
    copies = [one for one in report.tensors if one.shared_with]
    if copies:
        note(f"{len(copies):,} of them are copies: safetensors does not share storages")
    for one in report.left_out[:_MOST_SHOWN]:
        place = f"{escape(one.name, 100)}: " if one.name else ""
        click.echo(f"left out  {place}{escape(one.what, 100)} ({one.reason})")
    if len(report.left_out) > _MOST_SHOWN:
        click.echo(f"left out  {len(report.left_out) - _MOST_SHOWN:,} more (--format json lists them)")
