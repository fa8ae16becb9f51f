"""Named hostile samples and their benign look-alikes: one table that feeds tests and benchmarks.

Payloads are inert (``echo``, ``true``). ``seen`` is a (module, name) that must be among the imports of a trace of
the sample or of a stream nested in it; ``verdict`` is the least that the gate may say of it.
"""

from __future__ import annotations

from hostile_advisories import ADVISORIES
from hostile_calls import NESTED, REFLECTIVE, STATES
from hostile_changes import CHANGES
from hostile_containers import CONTAINERS
from hostile_implicit import IMPLICIT
from hostile_opcodes import OPCODE_TRICKS
from hostile_parts import Benign, Hostile
from lookalikes import LOOKALIKES

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
BENIGN: tuple[Benign, ...] = LOOKALIKES
