"""The commands, found by their names, and what their failures come to."""

from __future__ import annotations

import logging
import traceback
from importlib import import_module
from pathlib import Path

import click

from picklegate import __version__
from picklegate.cli import progress
from picklegate.cli.output import (
    DEBUG,
    EXIT_INTERRUPTED,
    EXIT_UNSCANNABLE,
    in_words,
    say,
    verbosity,
)
from picklegate.errors import GateError

_COMMANDS = {
    "allow": "allow",
    "audit": "audit",
    "convert": "convert",
    "demo": "demo",
    "download": "download",
    "explain": "explain",
    "policy": "policy",
    "quarantine": "quarantine",
    "rule": "rule",
    "run": "run",
    "scan": "scan",
    "serve": "serve",
}
"""Commands -> the modules below this package that have them, under the same name."""


class _Commands(click.Group):
    """Finds a command without importing the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """The names, sorted."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"picklegate.cli.{_COMMANDS[cmd_name]}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, and with the nearest names where there is no such command."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], _COMMANDS, n=2)
            if near:
                better = f"Did you mean {' or '.join(near)}?"
            elif Path(args[0]).exists():
                better = f"To scan a file, write `picklegate scan {args[0]}`."
            else:
                raise
            raise click.UsageError(f"{error.message.rstrip('.')}. {better}", error.ctx) from None


def _version(context: click.Context, _: click.Parameter, asked: bool) -> None:  # noqa: FBT001 (click's signature)
    """The versions of the program, which is also that of its reading, and of the model."""
    if asked:
        from picklegate.judging.classifier import version

        click.echo(f"picklegate {__version__} (model {version()})")
        context.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def cli() -> None:
    """Find hostile pickles without running them, and keep them out."""


def run() -> int:
    """Runs the command of this process's arguments; its exit code."""
    decisions = logging.getLogger("picklegate")
    # The commands say themselves what they decide; the log of decisions in a file is written all the same.
    decisions.addFilter(_nothing)
    try:
        return _run()
    finally:
        decisions.removeFilter(_nothing)


def _nothing(_: logging.LogRecord) -> bool:
    return False


def _run() -> int:
    try:
        status = cli.main(prog_name="picklegate", standalone_mode=False)
    except click.ClickException as error:
        progress.clear()
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        status = EXIT_INTERRUPTED
    except (GateError, OSError) as error:
        if verbosity() == DEBUG:
            traceback.print_exc()
        say(in_words(error))
        status = EXIT_UNSCANNABLE
    except Exception:  # noqa: BLE001 - whatever it is, Python's own exit code 1 would read as a finding
        traceback.print_exc()
        status = EXIT_UNSCANNABLE
    return int(status or 0)
