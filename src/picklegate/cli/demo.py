"""``picklegate demo``."""

from __future__ import annotations

import click


@click.command()
def demo() -> int:
    """Watch the gate at work, on this machine alone.

    A small Hub on loopback offers an honest and a hostile model. The first
    arrives, the second is refused. It takes seconds, needs no internet and no
    torch, and leaves nothing behind.
    """
    from picklegate.demo.tour import run

    return run(click.echo)
