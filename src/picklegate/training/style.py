"""In whose hand a pickle is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """How a stream is written; the defaults are CPython's.

    ``memo`` is ``"all"`` (as CPython), ``"used"`` (as pickletools.optimize leaves it) or ``"none"``; ``wild`` is
    the probability that another opcode of the same meaning stands where CPython has its own;
    ``junk`` that of values pushed and popped before a value.
    """

    name: str = "cpython"
    protocol: int = 4
    memo: str = "all"
    header: bool = True
    frame: bool = True
    wild: float = 0.0
    junk: float = 0.0


def random_style(rng: random.Random) -> Style:
    """A style as often met: CPython's in two of three, torch's protocol 2 well represented."""
    protocol = rng.choices((0, 1, 2, 3, 4, 5), (6, 2, 28, 14, 42, 8))[0]
    name = rng.choices(("cpython", "optimized", "injector", "wild"), (66, 8, 12, 14))[0]
    if name == "cpython":
        return Style(protocol=protocol)
    if name == "optimized":
        return Style(name=name, protocol=protocol, memo="used", frame=rng.random() < 0.5)
    memo = rng.choice(("none", "none", "used"))
    if name == "injector":
        return Style(
            name=name, protocol=protocol, memo=memo, header=rng.random() < 0.6, frame=False, wild=rng.choice((0.0, 0.2))
        )
    return Style(
        name=name,
        protocol=protocol,
        memo=rng.choice(("all", "used", "none")),
        header=rng.random() < 0.8,
        frame=rng.random() < 0.3,
        wild=rng.uniform(0.2, 0.9),
        junk=rng.choice((0.0, 0.0, 0.05, 0.2)),
    )
