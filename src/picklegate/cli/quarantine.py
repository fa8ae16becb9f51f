"""``picklegate quarantine``: what was refused and kept."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import click

from picklegate import policy_file
from picklegate import quarantine as store
from picklegate.audit_log import Event, note
from picklegate.cli.output import say, write
from picklegate.escape import escape
from picklegate.quarantine import Entry
from picklegate.render import text as render
from picklegate.scan import scan_file

_NAME_WIDTH = 100

_form = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Output format.")


@click.group()
def quarantine() -> None:
    """Look at what was refused and kept.

    Files come here where the policy says so (on_block="quarantine"), or with
    `add`. They are stored under their digest, where no loader looks, each with
    its report.
    """


@quarantine.command("list")
@_form
def list_(form: str) -> int:
    """List what is kept, the latest first."""
    entries = store.entries()
    if form == "json":
        write(_json([entry.to_dict() for entry in entries]), None)
        return 0
    for entry in entries:
        write(f"{_line(entry)}\n", None)
    if not entries:
        say(f"nothing is in quarantine ({store.home()})")
    return 0


@quarantine.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
def add(paths: tuple[Path, ...]) -> int:
    """Move files here, whatever their verdict.

    A file of the Hugging Face cache goes under all its names there. `release`
    gives a copy back.
    """
    for path in paths:
        entry = store.move(path, scan_file(path))
        _log("quarantine", entry, f"{escape(str(path))} was moved into quarantine")
        write(f"added {_line(entry)}\n", None)
    return 0


@quarantine.command()
@click.argument("id_", metavar="ID")
@_form
def show(id_: str, form: str) -> int:
    """Show an entry: its names, and why it was refused."""
    entry = store.find(id_)
    write(_json(entry.to_dict()) if form == "json" else _described(entry), None)
    return 0


@quarantine.command()
@click.argument("id_", metavar="ID")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The new file.")
def release(id_: str, output: Path) -> int:
    """Copy a kept file, for someone to look at.

    The copy is checked against the digest, and only its owner may read it. It
    is still the file that was refused: do not load it.
    """
    entry = store.find(id_)
    store.release(entry, output)
    _log("release", entry, f"{entry.id[:12]} was released from quarantine to {escape(str(output))}")
    say(f"{output} is now a copy of a file that was refused ({_verdict(entry)}): loading it may run what it brings")
    return 0


@quarantine.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Remove all entries.")
@click.option("--older-than", type=click.IntRange(min=0), metavar="DAYS", help="Remove what was kept before that.")
def purge(ids: tuple[str, ...], *, everything: bool, older_than: int | None) -> int:
    """Remove entries for good, and list them."""
    if bool(ids) + everything + (older_than is not None) != 1:
        raise click.UsageError("say what to remove in one way: ids, --all, or --older-than DAYS")
    doomed: Iterable[Entry] = store.entries()
    if ids:
        doomed = {entry.id: entry for entry in map(store.find, ids)}.values()
    elif older_than is not None:
        limit = datetime.now(timezone.utc) - timedelta(days=older_than)
        doomed = [entry for entry in doomed if entry.kept_at <= limit]
    store.purge(doomed)
    for entry in doomed:
        _log("purge", entry, f"{entry.id[:12]} was removed from quarantine")
        write(f"removed {_line(entry)}\n", None)
    return 0


def _log(event: Event, entry: Entry, message: str) -> None:
    """Log what was done with an entry, where the user's own policy says."""
    policy = policy_file.load().policy
    note(event, entry.report, policy=policy, message=message, name=next(iter(entry.names), ""), digest=entry.id)


def _line(entry: Entry) -> str:
    name = escape(entry.names[0]) if entry.names else "(its record cannot be read)"
    name = name if len(name) <= _NAME_WIDTH else f"…{name[1 - _NAME_WIDTH :]}"  # a path says most at its end
    more = f" and {len(entry.names) - 1} more" if len(entry.names) > 1 else ""
    kept = f"{entry.size:,} bytes" if entry.content else "report only"
    return f"{entry.short}  {entry.kept_at:%Y-%m-%d %H:%M}  {_verdict(entry):<11}  {name}{more}  ({kept})"


def _described(entry: Entry) -> str:
    lines = [f"id    {escape(entry.id)}", f"kept  {entry.kept_at:%Y-%m-%d %H:%M} UTC"]
    lines += [f"name  {escape(name)}" for name in entry.names]
    lines.append(f"file  {entry.content or 'none: it was refused before any of it was kept'}")
    told = render.render([entry.report]) if entry.report else "The record of this entry cannot be read.\n"
    return "\n".join([*lines, "", told])


def _verdict(entry: Entry) -> str:
    return entry.report.verdict.name if entry.report else "unknown"


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
