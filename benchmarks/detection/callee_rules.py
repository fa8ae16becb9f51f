"""How many hostile and honest files the rules on callees hit, without the model.

Rule A: an argument that is given decides a harm of a stranger. Rule B: a stranger calls a function that it is given
and that has such an effect. A stranger is a callee that no honest project of the corpus calls and that is no
serialiser's helper.

    PYTHONPATH=src python -m benchmarks.detection.callee_rules [FOLDER ...] [--environment] [--strangers]
"""

from __future__ import annotations

import collections
import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from picklegate import containers
from picklegate.capabilities import HARMS, NEAR, Callee, Callees, Environment
from picklegate.judging import callables as lists
from picklegate.judging.vocabulary import vocabulary
from picklegate.limits import Limits
from picklegate.pickles import Event, Global, Unresolved
from picklegate.pickles.values import CONTAINERS, attributes
from picklegate.scan import flat

SHARED = Path(__file__).parents[3] / "shared"
LIMITS = Limits(max_seconds=20)
HOLDING = frozenset(("functools.partial", "types.MethodType", "types.PartialType"))
"""Callables whose result, called, calls what they were given."""


def can_decide(value: Any, depth: int = 0) -> bool:
    """Whether a value could be a command, a path, a name, a function, or anything that static reading cannot tell."""
    if depth > 6:
        return True
    kind = type(value)
    if kind in CONTAINERS:
        return any(can_decide(item, depth + 1) for item in itertools.islice(value, 200))
    if kind is Event:
        return (
            any(can_decide(item, depth + 1) for item in (*value.args, *value.kwargs[1::2]))
            or type(value.callee) is not Global
        )
    return kind in (str, bytes, Global, Unresolved)


def is_stranger(event: Event) -> bool:
    """Whether no honest project of the corpus calls it."""
    known = event.known or event.name
    return not (
        vocabulary().callees.get(known)
        or lists.serialises(known)
        or lists.constructs_data(known)
        or known == "unresolved"
    )


def functions_in(value: Any, depth: int = 0) -> Iterator[Global | Unresolved]:
    """What could be called in a value."""
    kind = type(value)
    if isinstance(value, (Global, Unresolved)):
        yield value
    elif kind in CONTAINERS and depth < 6:
        for item in itertools.islice(value, 200):
            yield from functions_in(item, depth + 1)
    elif kind is Event and depth < 6 and value.known in HOLDING:
        for item in (*value.args, *value.kwargs[1::2]):
            yield from functions_in(item, depth + 1)


def has_harm(callee: Callee) -> bool:
    """Whether calling a function that is handed on could do harm."""
    if any(e.kind in HARMS and (e.parameters or not e.chain) and e.chain <= NEAR for e in callee.run_by("REDUCE")):
        return True
    plain = callee.canonical.startswith(("builtins.", "numpy.", "torch.", "math.", "operator."))
    is_class = callee.canonical.rpartition(".")[2][:1].isupper()
    return callee.kind == "native" and callee.known != "no" and not plain and not is_class


def opcode_of(event: Event) -> str:
    """The opcode by which the capabilities know this event."""
    return {"CALL": "REDUCE"}.get(event.opcode, event.opcode)


def judged(event: Event, callees: Callees) -> Iterator[str]:
    """The rules that an event meets, with the reason."""
    if not is_stranger(event):
        return
    target = event.callee
    if type(target) is Event and event.kind == "state":
        target = target.callee
    if type(target) is not Global:
        return
    callee = callees.find(target.module, target.name)
    positional = [can_decide(item) for item in event.args]
    keywords = {
        key: can_decide(value)
        for key, value in zip(event.kwargs[::2], event.kwargs[1::2], strict=False)
        if isinstance(key, str)
    }
    keys = None
    if event.opcode == "BUILD":
        keys = frozenset(attributes(event.args[0])) if event.args else frozenset()
    opcode = opcode_of(event)
    for effect, parameter in callee.decided(opcode, positional, keywords, keys):
        if effect.kind in HARMS and effect.chain <= NEAR and effect.sink != "registry":
            yield f"A {effect.kind}: {callee.describe(effect, parameter)}"
    for parameter in callee.calls(opcode, positional, keywords, keys):
        if parameter.position < 0:
            given: Any = event.kwargs
        else:
            given = (
                tuple(event.args[parameter.position :])
                if parameter.rest
                else event.args[parameter.position : parameter.position + 1]
            )
        for function in functions_in(given):
            if isinstance(function, Unresolved) or has_harm(callees.find(function.module, function.name)):
                yield f"B {callee.canonical} calls {getattr(function, 'dotted', 'an unresolved value')}"
    if callee.kind == "function" and callee.binding in {"unbound", "member"}:
        yield f"U {callee.name} is a method called on its class"
    if (
        callee.kind in {"function", "unknown", "native"}
        and not callee.name.rpartition(".")[2].lstrip("_")[:1].isupper()
        and any(positional)
    ):
        yield f"F {callee.name}: {callee.kind}, {callee.known}, given something"


def events_of(path: Path) -> Iterator[Event]:
    """The events of every stream of a file."""
    with path.open("rb") as file:
        contents = containers.read(file, name=str(path), limits=LIMITS)
    for stream in contents.streams:
        for _, trace in flat(stream):
            yield from trace.events


def main() -> None:
    """Print, for each folder, how many files each rule hits, and the files."""
    folders = [item for item in sys.argv[1:] if not item.startswith("-")]
    environment = Environment(seconds=3.0) if "--environment" in sys.argv else None
    callees = Callees(environment=environment)
    for folder in folders or (str(SHARED / "redteam/streams"), str(SHARED / "honest"), str(SHARED / "corpus/benign")):
        hit: dict[str, list[str]] = collections.defaultdict(list)
        files = [
            path
            for path in sorted(Path(folder).rglob("*"))
            if path.is_file() and path.suffix not in {".tsv", ".csv", ".md"}
        ]
        start = time.process_time()
        for path in files:
            if environment is not None:
                environment.begin()
            found: dict[str, str] = {}
            for event in events_of(path):
                for reason in judged(event, callees):
                    found.setdefault(reason[0], reason)
            for rule, reason in found.items():
                hit[rule].append(f"{path.relative_to(folder)}: {reason}")
            for rule in ("A or B",) if {"A", "B"} & set(found) else ():
                hit[rule].append("")
        took = time.process_time() - start
        print(f"{folder}: {len(files)} files, {took:.1f} s")
        for rule, names in sorted(hit.items()):
            print(f"  {rule}: {len(names)}")
            shown = names if "--all" in sys.argv or rule in {"A", "B", "U"} else []
            for name in shown:
                if name:
                    print(f"     {name[:260]}")


if __name__ == "__main__":
    main()
