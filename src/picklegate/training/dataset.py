"""Labelled files -> the rows that the model is trained on: one a distinct event."""

from __future__ import annotations

import io
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from picklegate import callees, containers, features
from picklegate.pickles import Event, Global, Trace, canonical, trace
from picklegate.training import benign, corpus, hostile
from picklegate.training.carriers import Sample

Description = tuple[float, ...]

LARGEST_CARRIER = 200_000
"""Bytes of the largest real stream that payloads are put into."""
CARRIER_STEP = 4
"""Of the real streams, every so many is a carrier."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One distinct event of a file.

    ``label`` is 1 for what does the harm and 0 for what honest files do; ``file`` names the
    file, ``group`` what must not be split (a project, a gadget's package), ``source`` where it is from.
    """

    file: str
    group: str
    source: str
    family: str
    known: str
    label: int
    description: Description


def traces(data: bytes) -> Iterator[Trace]:
    """Every stream of an artifact, nested ones included."""
    pending = [stream.trace for stream in containers.read(io.BytesIO(data)).streams]
    while pending:
        found = pending.pop()
        yield found
        pending.extend(inner for _, inner in found.nested)


def _rows(events: Iterable[Event], template: Row) -> Iterator[Row]:
    seen: set[tuple[str, Description]] = set()
    for event in events:
        if event.reached:
            continue
        key = (features.callee(event), features.description(event, features.arguments(event)))
        if key not in seen:
            seen.add(key)
            yield replace(template, known=key[0], description=key[1])


def of_corpus(root: Path) -> list[Row]:
    """The rows of the real files, in their groups; each file has at least one row."""
    manifest = corpus.read_manifest(root)
    rows: list[Row] = []
    for entry, group in zip(manifest, corpus.groups(manifest), strict=True):
        if entry.label not in ("benign", "malicious"):
            continue
        found = list(traces(entry.read()))
        events = [event for one in found for event in one.events]
        label = int(entry.label == "malicious")
        template = Row(
            file=str(entry.path.relative_to(root)),
            group=f"{label} {group}",
            source="corpus",
            family=entry.label,
            known="",
            label=label,
            description=(),
        )
        made = list(_rows(harmful(events) if label else events, template))
        rows.extend(made or [template])
    return rows


def harmful(events: list[Event]) -> list[Event]:
    """The events of a hostile file that may be what does the harm."""
    proven = [e for e in events if callees.executes(features.callee(e)) or e.name == "unresolved"]
    return proven or [e for e in events if e.kind == "call" and not callees.serialises(e.known)] or events


def of_hostile(count: int, seed: int, streams: list[bytes]) -> Iterator[Row]:
    """The rows of generated hostile samples; the group is the package of what is called."""
    draws = hostile.samples(
        random.Random(seed),
        count=count,
        gadgets=hostile.read_gadgets(),
        carriers=streams,
        containers=("raw",),
    )
    for number, sample in enumerate(draws):
        template = Row(
            file=f"hostile {seed} {number}",
            group=sample.package,
            source="generated",
            family=sample.family,
            known="",
            label=1,
            description=(),
        )
        yield from _rows(payload(sample), template)


def payload(sample: Sample) -> list[Event]:
    """The events of a generated hostile sample that do the harm: what its gadget is called or handed with."""
    events: list[Event] = []
    for start, found in _streams(sample.data):
        inside = sample.start <= start < sample.end
        events.extend(e for e in found.events if inside or sample.start <= e.offset < sample.end)
        events.extend(event for _, inner in found.nested for event in inner.events)
    target = canonical(sample.module, sample.name)
    direct = [
        e
        for e in events
        if features.callee(e) == target or e.name == "unresolved" or any(g.known == target for g in _globals(e))
    ]
    chosen = direct or [e for e in events if e.kind == "state" or not callees.serialises(e.known)] or events
    return [event for event in chosen if telling(event)]


def telling(event: Event) -> bool:
    """Whether the event shows anything of what it does: bytes handed to a stranger may be anybody's data."""
    known = features.callee(event)
    found = features.arguments(event)
    opaque = bool(found.blobs) and not (found.texts or found.globals or found.results or found.unresolved)
    return not (opaque and event.name != "unresolved" and known.partition(".")[0] not in callees.STANDARD)


def _globals(event: Event) -> list[Global]:
    return features.arguments(event).globals


def _streams(data: bytes) -> Iterator[tuple[int, Trace]]:
    pos = 0
    while pos < len(data):
        found = trace(data, pos)
        yield pos, found
        if not found.stopped:
            return
        pos = found.end


def of_benign(count: int, seed: int) -> Iterator[Row]:
    """The rows of generated benign samples; each is a project of its own."""
    return _of_samples(benign.samples(random.Random(seed), count=count), f"benign {seed}")


def of_hub(root: Path, seed: int) -> Iterator[Row]:
    """The rows of files rebuilt from what pickles of the Hub import."""
    return _of_samples(benign.rebuild_hub(corpus.read_hub_imports(root), random.Random(seed)), "hub")


def _of_samples(samples: Iterable[Sample], name: str) -> Iterator[Row]:
    for number, sample in enumerate(samples):
        template = Row(file=f"{name} {number}", group=sample.package, source="generated" if name != "hub" else "hub",
                       family="benign", known="", label=0, description=())  # fmt: skip
        yield from _rows([event for one in traces(sample.data) for event in one.events], template)
