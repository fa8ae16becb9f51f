"""The command line: arguments in, reports out, exit codes; it decides nothing.

Each command has a module of its own, imported when it is called for; ``scan FILE`` does without click.
"""

from __future__ import annotations

import io
import sys

from picklegate.cli.output import EXIT_UNSCANNABLE, NORMAL, in_words, say, set_verbosity


def main() -> None:
    """Runs the command line; a failure of the program itself never leaves with the exit code of a finding."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    set_verbosity(NORMAL)
    status = None
    if len(sys.argv) == 3 and sys.argv[1] == "scan":
        from picklegate.cli.quick import scan_one

        try:
            status = scan_one(sys.argv[2])
        except OSError as error:
            say(in_words(error))
            status = EXIT_UNSCANNABLE
    if status is None:
        from picklegate.cli.commands import run

        status = run()
    sys.exit(status)
