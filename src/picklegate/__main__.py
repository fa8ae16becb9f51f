"""The command ``picklegate``, also as ``python -m picklegate``."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line; Ctrl-C while its modules are imported ends it in one line, too."""
    try:
        from picklegate.cli import main as run
    except KeyboardInterrupt:
        sys.stderr.write("picklegate: interrupted\n")
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
