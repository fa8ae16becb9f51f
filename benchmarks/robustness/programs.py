"""Random programs against the real unpicklers: python -m benchmarks.robustness.programs [COUNT] [FIRST SEED].

Each ends in a call of a harmless canary (tests/support/programs.py). Where it runs, the trace must name that call, or
the stream must not be CLEAN. Prints the seeds of those that escape; the exit status is 1 where there are any.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from support import canary
from support.programs import escapes, program

_BATCH = 2_000


def main(count: int = 100_000, first: int = 0) -> int:
    """Run so many programs, in batches of one subprocess each."""
    ran, found, start = 0, list[int](), time.monotonic()
    for begin in range(first, first + count, _BATCH):
        seeds = range(begin, min(begin + _BATCH, first + count))
        programs = [program(seed) for seed in seeds]
        answers = canary.run([one.data for one in programs])
        ran += sum(any(calls) for calls in answers)
        new = [s for s, one, calls in zip(seeds, programs, answers, strict=True) if escapes(one, calls)]
        found += new
        if new:
            sys.stdout.write(f"escaped: {new}\n")
    seconds = time.monotonic() - start
    sys.stdout.write(
        f"{count:,} programs, {ran:,} ran the canary or the decoy, {len(found):,} escaped, {seconds:.0f} s\n"
    )
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
