"""Bytes -> Trace: what loading a pickle stream would import, call and write, without doing it."""

from picklegate.pickles.counting import opcode_counts
from picklegate.pickles.names import canonical
from picklegate.pickles.opcodes import Buffer, Cut
from picklegate.pickles.recorder import Inline
from picklegate.pickles.records import Fault, Import, Trace
from picklegate.pickles.tracer import trace
from picklegate.pickles.values import Dict, Event, Global, Persistent, Set, Unresolved

__all__ = [
    "Buffer",
    "Cut",
    "Dict",
    "Event",
    "Fault",
    "Global",
    "Import",
    "Inline",
    "Persistent",
    "Set",
    "Trace",
    "Unresolved",
    "canonical",
    "opcode_counts",
    "trace",
]
