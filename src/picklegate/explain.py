"""What loading a file would do, step by step, and how the score of each step came about."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

from picklegate.judging import features
from picklegate.judging.arguments import States, arguments_of, states_of
from picklegate.judging.classifier import classifier
from picklegate.judging.vocabulary import vocabulary
from picklegate.pickles import Event, Import, Trace
from picklegate.pickles.disassembly import disassemble
from picklegate.policy import PolicyOption
from picklegate.report import Call, FileReport, Instruction, StreamReport, Verdict
from picklegate.scan import open_regular, scan_traces

SCHEMA = "picklegate.explanation/1"
MAX_STEPS = 2_000
MAX_INSTRUCTIONS = 5_000
"""What is kept of one stream."""

_STORAGES = ("BFloat16", "Bool", "Byte", "Char", "Double", "Float", "Half", "Int", "Long", "Short")
TORCHS_OWN = frozenset(
    (
        *("collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter"),
        *("torch.Size", "torch.device", "torch.nn.parameter.Parameter", "torch._utils._rebuild_tensor"),
        *(f"torch.{kind}Storage" for kind in _STORAGES),
    )
)
"""Names that ``torch.load(weights_only=True)`` takes without being asked to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Weight:
    """One feature of a call: its value, and the log-odds that it adds to the score."""

    feature: str
    value: float
    adds: float

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"feature": self.feature, "value": self.value, "adds": round(self.adds, 4)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One thing that loading would do: an import, or a call that is judged.

    ``kind`` is ``"import"``, ``"call"``, ``"construct"`` or ``"state"``; ``count`` is how often a step of this shape
    occurs. ``weights`` are those that moved the score, the heaviest first.
    """

    kind: str
    name: str
    offset: int
    call: Call | None = None
    count: int = 1
    weights: tuple[Weight, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "kind": self.kind,
            "name": self.name,
            "offset": self.offset,
            "count": self.count,
            "call": self.call and self.call.to_dict(),
            "weights": [weight.to_dict() for weight in self.weights],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """One stream told: its report, its steps in the order of loading, and its instructions where asked for."""

    report: StreamReport
    protocol: int
    opcodes: int
    steps: tuple[Step, ...]
    instructions: tuple[Instruction, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "name": self.report.name,
            "protocol": self.protocol,
            "opcodes": self.opcodes,
            "steps": [step.to_dict() for step in self.steps],
            "instructions": [instruction.to_dict() for instruction in self.instructions],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """A file's report, and each of its streams told."""

    report: FileReport
    streams: tuple[Told, ...]

    @property
    def safe_globals(self) -> tuple[str, ...]:
        """What a CLEAN file imports beside torch's own: names for ``torch.serialization.safe_globals``."""
        if self.report.verdict > Verdict.CLEAN:
            return ()
        pairs = dict.fromkeys(pair for stream in self.report.streams for pair in stream.imports)
        return tuple(name for name in (f"{module}.{name}" for module, name in pairs) if name not in TORCHS_OWN)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "schema": SCHEMA,
            "file": self.report.to_dict(),
            "safe_globals": list(self.safe_globals),
            "streams": [told.to_dict() for told in self.streams],
        }


def explain_file(path: str | os.PathLike[str], *, policy: PolicyOption = None, listing: bool = False) -> Explanation:
    """Explain the regular file at ``path``, with its opcodes if ``listing``; raises OSError."""
    with open_regular(path) as file:
        return explain_stream(file, name=os.fspath(path), policy=policy, listing=listing)


def explain_stream(
    file: BinaryIO, *, name: str, policy: PolicyOption = None, listing: bool = False, digest: bool = True
) -> Explanation:
    """Explain a seekable binary file; without ``digest`` its content is not hashed."""
    report, traces = scan_traces(file, name=name, policy=policy, digest=digest)
    told = [_told(one, trace, listing=listing) for one, trace in zip(report.streams, traces, strict=True)]
    return Explanation(report=report, streams=tuple(told))


def _told(report: StreamReport, found: Trace, *, listing: bool) -> Told:
    calls = {(call.offset, call.callee): call for call in report.calls}
    states = states_of(found.events)
    steps = [*map(_import, found.imports), *(_step(event, calls, states) for event in found.events[:MAX_STEPS])]
    return Told(
        report=report,
        protocol=found.protocol,
        opcodes=found.opcodes,
        steps=tuple(sorted(steps, key=lambda step: step.offset)[:MAX_STEPS]),
        instructions=tuple(islice(disassemble(found), MAX_INSTRUCTIONS)) if listing else (),
    )


def _import(item: Import) -> Step:
    return Step(kind="import", name=f"{item.module}.{item.name}" if item.name else item.module, offset=item.offset)


def _step(event: Event, calls: Mapping[tuple[int, str], Call], states: States) -> Step:
    names = (event.name, f"unresolved ({event.via})")
    call = next((calls[event.offset, name] for name in names if (event.offset, name) in calls), None)
    weights: tuple[Weight, ...] = ()
    if call is not None and not event.reached:
        vector = features.vector(event, arguments_of(event, states), vocabulary())
        values = dict(zip(features.FEATURES, vector, strict=True))
        moved = [(name, adds) for name, adds in classifier().contributions(vector) if abs(adds) >= 0.05]
        weights = tuple(
            Weight(feature=name, value=values[name], adds=adds)
            for name, adds in sorted(moved, key=lambda part: -abs(part[1]))
        )
    return Step(kind=event.kind, name=event.name, offset=event.offset, call=call, count=event.count, weights=weights)
