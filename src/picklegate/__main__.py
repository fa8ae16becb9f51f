"""The command ``picklegate``, also as ``python -m picklegate``."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Runs the command line; Ctrl-C while its modules are imported ends it in one line."""
    # The search for cycles takes a third of a scan's time: it is done once at the end of each file (batch.py).
    gc.disable()
    try:
        from picklegate.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("picklegate: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
