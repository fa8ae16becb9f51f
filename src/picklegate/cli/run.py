"""``picklegate run``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from picklegate import bootstrap
from picklegate.cli.options import settings as settings_option
from picklegate.policy_file import Settings
from picklegate.protection import handed_down


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("-m", "module", metavar="MODULE", help="Run a module, as `python -m` does.")
@settings_option
@click.argument("command", metavar="[SCRIPT.py | COMMAND] [ARGUMENT]...", nargs=-1, type=click.UNPROCESSED)
def run(module: str | None, settings: Settings, command: tuple[str, ...]) -> int:
    """Run a program with the gate under it.

    What it downloads through huggingface_hub and what it unpickles is judged
    first, in every Python that it starts. Exit code, signals and terminal are
    the program's own.

    \b
    Examples:
      picklegate run train.py --epochs 3
      picklegate run -m package.train
      picklegate run -- accelerate launch train.py
    """  # noqa: D301 - click wants the backspace itself: it marks a paragraph whose lines are kept
    if module is not None:
        command = (sys.executable, "-m", module, *command)
    elif not command:
        raise click.UsageError("name a script, a command, or a module with -m")
    elif command[0].endswith(".py"):
        command = (sys.executable, *command)
    inherited = os.environ.get("PYTHONPATH")
    gate = str(Path(bootstrap.__file__).parent)
    paths = os.pathsep.join(filter(None, (gate, inherited)))
    environment = {**os.environ, **handed_down(settings.policy), "PYTHONPATH": paths}
    sys.stdout.flush()
    try:
        if os.name == "posix":
            os.execvpe(command[0], command, environment)  # noqa: S606 - the user's own command, without a shell
        return subprocess.call(command, env=environment)  # noqa: S603 - likewise
    except OSError as error:
        raise click.UsageError(f"{command[0]} cannot be run: {error.strerror}") from error
