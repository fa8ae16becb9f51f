"""Named hostile samples and their honest look-alikes: one table that feeds tests and benchmarks.

Payloads are inert (``echo``, ``true``). ``seen`` is a (module, name) that must be among the imports of a trace of
the sample or of a stream nested in it; ``verdict`` is the least that the gate may say of it.
"""

from __future__ import annotations

from samples.honest import LOOKALIKES
from samples.hostile_advisories import ADVISORIES
from samples.hostile_calls import NESTED, REFLECTIVE, STATES
from samples.hostile_containers import CONTAINERS
from samples.hostile_implicit import IMPLICIT
from samples.hostile_mutation import CHANGES
from samples.hostile_opcodes import OPCODE_TRICKS
from support.builders import Honest, Hostile

HOSTILE: tuple[Hostile, ...] = (
    *OPCODE_TRICKS,
    *REFLECTIVE,
    *NESTED,
    *STATES,
    *CHANGES,
    *IMPLICIT,
    *ADVISORIES,
    *CONTAINERS,
)
HONEST: tuple[Honest, ...] = LOOKALIKES
