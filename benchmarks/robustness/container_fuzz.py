"""Fuzzing of containers with the real loaders as the oracle: python -m benchmarks.robustness.container_fuzz [FILES].

A file by which a loader runs the (inert) payload must not be CLEAN, and an honest file must be. Prints both by the
outermost container; ends with 1 where one of them fails.
"""

from __future__ import annotations

import collections
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from picklegate.report import Verdict
from picklegate.scan import scan_bytes
from support.container_loaders import run
from support.container_maker import Maker

BATCH = 1_000


def main(files: int, seed: int = 0) -> int:
    """Draw ``files`` files in batches, judge and load them, and print what was found."""
    warnings.simplefilter("ignore")
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for first in range(0, files, BATCH):
        maker = Maker(seed + first)
        made = [maker.make() for _ in range(min(BATCH, files - first))]
        for one, ways in zip(made, run([one.data for one in made]), strict=True):
            clean = scan_bytes(one.data, name="model.bin").verdict == Verdict.CLEAN
            container = next((part for part in one.recipe.split() if not part.startswith("mutated")), "")
            counts[container].update(
                files=1,
                ran=bool(ways),
                missed=bool(ways) and clean,
                honest=one.honest,
                alarms=one.honest and not clean,
            )
            if (ways and clean) or (one.honest and not clean):
                print("MISSED" if ways else "ALARM", f"seed {seed + first}:", one.recipe, *ways[:3], flush=True)
    total: collections.Counter[str] = sum(counts.values(), collections.Counter())
    columns = ("files", "ran", "missed", "honest", "alarms")
    print(f"{'container':18}" + "".join(f"{column:>9}" for column in columns))
    for container, row in (*sorted(counts.items()), ("all", total)):
        print(f"{container:18}" + "".join(f"{row[column]:9}" for column in columns))
    return int(bool(total["missed"] or total["alarms"]))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:] or ["20000"])))
