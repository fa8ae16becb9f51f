"""What a callable can do, as a value: effects, and the parameters that decide them."""

from __future__ import annotations

from dataclasses import dataclass

HARMS = ("execute", "command", "native", "unpickle", "import", "network", "write", "delete", "change")
"""Effects that can do harm."""
KINDS = (*HARMS, "read", "call", "unfollowed")
"""Every kind of effect. ``call``: it calls what it is given; ``unfollowed``: what becomes of it is not known."""
NEAR = 4
"""Calls on a chain that rules go by; longer ones are for the model alone."""
WAYS = ("call", "new", "init", "state", "items", "append", "key", "later")
"""Which methods have the effect: see ``RUNS``."""
METHODS = {
    "new": ("__new__",),
    "init": ("__init__", "__post_init__"),
    "state": ("__setstate__",),
    "items": ("__setitem__", "update"),
    "append": ("append", "extend"),
    "key": ("__hash__", "__eq__"),
    "later": ("__del__",),
}
"""The methods of a class behind each way."""
RUNS = {
    "REDUCE": ("call", "new", "init"),
    "INST": ("call", "new", "init"),
    "OBJ": ("call", "new", "init"),
    "NEWOBJ": ("call", "new"),
    "NEWOBJ_EX": ("call", "new"),
    "BUILD": ("state", "later"),
    "SETITEM": ("items",),
    "SETITEMS": ("items",),
    "APPEND": ("append",),
    "APPENDS": ("append",),
    "ADDITEMS": ("append", "items"),
    "KEY": ("key",),
    "LATER": ("later",),
}
"""The ways that each opcode runs; ``KEY`` and ``LATER`` stand for what a dict and the end of the object run.

BUILD gives what the end of an object goes by.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter that decides an effect.

    ``position`` counts as the pickle gives it, from 0; -1: by name only. ``rest``: that position and all behind it.
    ``name`` is ``**`` for keywords that no parameter has. ``key``: only as far as what is given holds this key or
    attribute.
    """

    position: int
    name: str = ""
    rest: bool = False
    key: str = ""

    @property
    def label(self) -> str:
        """The parameter in words: ``argument 0 (path)``."""
        if self.key:
            return f"what its {'state' if self.name == 'state' else f'argument {self.position}'} holds as {self.key!r}"
        if self.position < 0:
            return f"argument {self.name}" if self.name != "**" else "keyword arguments"
        return f"argument {self.position}" + (f" ({self.name})" if self.name else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One thing that a callable can do.

    ``parameters``: any one of them decides it; none: it is fixed. ``sink`` is the primitive at the end of ``chain``
    calls (0: it is the callable itself); ``"registry"`` for a table of the package's own. ``location`` is file:line
    of the first call.
    """

    kind: str
    way: str
    parameters: tuple[Parameter, ...] = ()
    sink: str = ""
    chain: int = 1
    location: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is known of one definition. ``kind`` as in Callee; ``line`` is that of the definition."""

    kind: str
    effects: tuple[Effect, ...] = ()
    line: int = 0
    binding: str = ""
    opened: bool = False
    """Whether a base of the class, or a decorator, could not be found."""
