"""Bytes -> Trace: what loading a pickle stream would import, call and write, without doing it."""

from picklegate.pickles.tracer import Fault, Import, Trace, trace
from picklegate.pickles.values import Dict, Event, Global, Persistent, Set, Unresolved

__all__ = [
    "Dict",
    "Event",
    "Fault",
    "Global",
    "Import",
    "Persistent",
    "Set",
    "Trace",
    "Unresolved",
    "trace",
]
