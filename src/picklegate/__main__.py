"""``python -m picklegate``."""

from __future__ import annotations

from picklegate.cli import main

if __name__ == "__main__":
    main()
