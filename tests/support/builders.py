"""What the tables of hostile samples are written with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from picklegate.report import Verdict
from picklegate.training.assembler import assemble
from picklegate.training.style import Style
from picklegate.training.tree import Call, Name

COMMAND = "echo inert"
ARGV = ["echo", "inert"]
SOURCE = "import os; os.system('echo inert')"
EXPRESSION = "__import__('os').system('echo inert')"

SYSTEM = Name("os", "system")
OS = ("os", "system")
EVAL = ("builtins", "eval")

PICKLESCAN = "https://github.com/mmaitre314/picklescan/security/advisories/"
FICKLING = "https://github.com/trailofbits/fickling/security/advisories/"
PICKLEBALL = "https://arxiv.org/abs/2508.15987"
CLOAK = "https://arxiv.org/abs/2508.19774"
FUZZER = "https://arxiv.org/abs/2605.15084"
SHADOW = "https://arxiv.org/abs/2607.17503"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hostile:
    """One hostile sample.

    ``seen`` is among the imports of its streams (None where what it calls has no name), ``verdict`` the least
    that the gate may say.
    """

    id: str
    data: bytes
    why: str
    seen: tuple[str, str] | None
    url: str = ""
    verdict: Verdict = Verdict.MALICIOUS


@dataclass(frozen=True, kw_only=True, slots=True)
class Honest:
    """One harmless sample that looks like a hostile one; it must be CLEAN."""

    id: str
    data: bytes
    why: str


def written(tree: Any, protocol: int = 4) -> bytes:
    """Write a tree as CPython does."""
    return assemble(tree, Style(protocol=protocol)).data


def call(module: str, name: str, *args: Any) -> Call:
    """A call of an imported name."""
    return Call(Name(module, name), args)


def case(
    name: str, made: Any, why: str, seen: tuple[str, str] | None, url: str = "", verdict: Verdict = Verdict.MALICIOUS
) -> Hostile:
    """A row: ``made`` is the sample's bytes, or the tree to write."""
    data = made if isinstance(made, bytes) else written(made)
    return Hostile(id=name, data=data, why=why, seen=seen, url=url, verdict=verdict)


PLAIN = call("os", "system", COMMAND)
INNER = written(PLAIN)
OPCODES = b"cos\nsystem\n(S'echo inert'\ntR"
OLD = OPCODES + b"."
