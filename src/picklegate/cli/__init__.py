"""The command line: arguments in, reports out, exit codes; it decides nothing.

Each command has a module of its own, imported when it is called for.
"""

from __future__ import annotations

import io
import sys
import traceback
from importlib import import_module

import click

from picklegate import __version__
from picklegate.cli.output import EXIT_INTERRUPTED, EXIT_UNSCANNABLE, in_words, say
from picklegate.errors import GateError

_COMMANDS = {
    "allow": "allow",
    "audit": "audit",
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
        command: click.Command = getattr(import_module(f"{__name__}.{_COMMANDS[cmd_name]}"), cmd_name)
        return command


def _version(context: click.Context, _: click.Parameter, asked: bool) -> None:  # noqa: FBT001 (click's signature)
    """The versions of the program, which is also that of its reading, and of the model."""
    if asked:
        from picklegate.judging.classifier import version

        click.echo(f"picklegate {__version__} (model {version()})")
        context.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Tell versions.")
def cli() -> None:
    """Read pickle files without running them, and tell which are hostile."""


def main() -> None:
    """Runs the command line; a failure of the program itself never leaves with the exit code of a finding."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = cli.main(prog_name="picklegate", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        status = EXIT_INTERRUPTED
    except (GateError, OSError) as error:
        say(in_words(error))
        status = EXIT_UNSCANNABLE
    except Exception:  # noqa: BLE001 - whatever it is, Python's own exit code 1 would read as a finding
        traceback.print_exc()
        status = EXIT_UNSCANNABLE
    sys.exit(status)
