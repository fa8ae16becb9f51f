"""``picklegate scan FILE`` without options: the same output, without the time that all of the command line takes."""

from __future__ import annotations

import os
import stat

from picklegate.cli.output import EXIT_INTERRUPTED, INTERRUPTED, say, status, wants_colour, width, write
from picklegate.cli.progress import Progress


def scan_one(path: str) -> int | None:
    """The exit code; None, and nothing is written, where the command has more to do than to scan this file."""
    if path.startswith("-") or "://" in path or os.environ.get("GITHUB_ACTIONS"):
        return None
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
        from picklegate import policy_file
        from picklegate.render import text
        from picklegate.scan import scan_file

        settings = policy_file.load()
        if settings.files:
            return None
        with Progress("scanning", 1):
            report = scan_file(path, digest=False)
    except KeyboardInterrupt:
        say("interrupted, after 0 files")
        write(f"{INTERRUPTED}\n0 files\n", None)
        return EXIT_INTERRUPTED
    except Exception:  # noqa: BLE001 - the whole command meets it again, and has the words for it
        return None
    policy = settings.policy
    write(text.render([report], colour=wants_colour(), width=width(), policy=policy), None)
    return status([report], policy)
