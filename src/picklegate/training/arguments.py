"""The arguments that hostile calls take: commands, code, paths, addresses and blobs, in endless variety.

Everything is inert in intent: hosts are of reserved names, addresses of the documentation networks.
"""

from __future__ import annotations

import base64
import functools
import json
import random
import re
import shlex
import zlib
from typing import TYPE_CHECKING, Any

from picklegate.training import lists
from picklegate.training.assembler import assemble
from picklegate.training.lists import templates, words
from picklegate.training.style import random_style
from picklegate.training.tree import Call, Name, New, Tree

if TYPE_CHECKING:
    from collections.abc import Callable

_PLACEHOLDER = re.compile(r"\{(?:(b64|z64|hex):)?(\w+)\}")
_MARSHALLED = re.compile(rb"\xfa.(\{[\w:]+\})", re.DOTALL)
_NAMED = {
    "true": True,
    "false": False,
    "none": None,
    "zero": 0,
    "minus": -1,
    "nothing": (),
}


@functools.cache
def _codes() -> tuple[dict[str, Any], ...]:
    return tuple(json.loads(line) for line in lists.text("code.jsonl").splitlines())


class Arguments:
    """A seeded source of arguments, by the kinds that gadgets.tsv names."""

    def __init__(self, rng: random.Random) -> None:
        """Draw from ``rng``."""
        self.rng = rng

    def text(self, kind: str, depth: int = 0) -> str:
        """Expand a random template of the kind; encodings nest at most three deep."""
        simple = self._atom(kind)
        if simple is not None:
            return simple
        template = self.rng.choice(
            templates("payloads.tsv")[kind if depth < 3 else "cmd" if kind == "command" else kind]
        )
        if depth >= 3 and _PLACEHOLDER.search(template) and kind in ("source", "expr"):
            template = "print('{word}')"

        def expand(match: re.Match[str]) -> str:
            encoding, inner = match.groups()
            if encoding is None and inner not in templates("payloads.tsv") and self._atom(inner) is None:
                return match.group()
            return _encoded(self.text(inner, depth + 1), encoding)

        return _PLACEHOLDER.sub(expand, template)

    def _atom(self, kind: str) -> str | None:
        if kind == "word":
            return self.word()
        if kind == "int":
            return str(self.rng.randrange(1, 200))
        if kind == "port":
            return str(self.rng.choice((443, 4444, 1337, 8080, 9001, self.rng.randrange(1024, 65536))))
        if kind == "octet":
            return str(self.rng.randrange(1, 255))
        if kind == "hex":
            return f"{self.rng.getrandbits(64):016x}"
        if kind == "chars":
            return ",".join(str(ord(char)) for char in self.text("oneliner"))
        return None

    def word(self) -> str:
        """An ordinary word, now and then two or a made-up one."""
        draw = self.rng.random()
        if draw < 0.7:
            return self.rng.choice(words())
        if draw < 0.9:
            return self.rng.choice(("_", "-", "")).join(self.rng.sample(words(), 2)).replace("-", "_")
        return "".join(self.rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=self.rng.randrange(3, 12)))

    def values(self, kinds: str, owner: Name | None = None) -> tuple[Tree, ...]:
        """The positional arguments for one alternative of a gadget's ``arguments``."""
        return tuple(self.value(kind, owner) for kind in kinds.split())

    def value(self, kind: str, owner: Name | None = None) -> Tree:
        """One argument; ``owner`` is the callee, of which ``self`` makes an instance."""
        if kind in _NAMED:
            return _NAMED[kind]
        special: dict[str, Callable[[], Tree]] = {
            "int": lambda: self.rng.choice((0, 1, 9, 11, 1000, self.rng.randrange(100_000))),
            "argv": self.argv,
            "program": lambda: self.text("program"),
            "programs": lambda: [self.text("program") for _ in range(self.rng.randrange(1, 3))],
            "pip": self.pip,
            "codeargv": lambda: ["-n", "1", self.text("source")],
            "address": lambda: (self.text("host"), int(self.text("port"))),
            "port": lambda: int(self.text("port")),
            "env": lambda: {self.text("envname"): self.text("envvalue")} if self.rng.random() < 0.7 else {},
            "dict": dict,
            "list": list,
            "globals": self.globals,
            "sourcelist": lambda: self.text("source").split("\n"),
            "filelines": lambda: self.text("filetext").split("\n"),
            "blob": self.blob,
            "pickle": self.pickle,
            "marshal": self.marshal,
            "marshalb64": lambda: base64.b64encode(self.marshal()).decode(),
            "code": self.code,
            "self": lambda: self.instance(owner),
            "selfpath": lambda: Call(Name("pathlib", "PosixPath"), self._path_parts()),
            "object": lambda: Name("os", "system"),
            "mailcaps": lambda: {"text/plain": [{"view": self.text("command")}]},
        }
        made = special.get(kind)
        return made() if made is not None else self.text(kind)

    def argv(self) -> list[str]:
        """A command as the list of its words."""
        command = self.text("command")
        if self.rng.random() < 0.4:
            return [self.rng.choice(("sh", "bash", "/bin/sh", "cmd.exe")), "-c", command]
        try:
            return shlex.split(command)
        except ValueError:
            return command.split()

    def pip(self) -> list[str]:
        """The arguments of a package installer."""
        name = self.rng.choice((f"{self.word()}-{self.word()}", self.text("url"), f"git+{self.text('url')}", "."))
        options = self.rng.choice(
            ([], ["--index-url", self.text("url")], ["-q"], ["--no-input", "--target", self.text("dir")])
        )
        return ["install", *options, name]

    def globals(self) -> dict[str, Tree]:
        """The globals that code is run with."""
        choices: tuple[dict[str, Tree], ...] = (
            {},
            {"__builtins__": Name("builtins", "__dict__")},
            {"__name__": "__main__"},
            {"os": Call(Name("importlib", "import_module"), ("os",))},
        )
        return self.rng.choice(choices)

    def blob(self) -> bytes:
        """Bytes of no evident meaning: packed code, a library's head, a script."""
        draw = self.rng.random()
        if draw < 0.4:
            return zlib.compress(self.text("source").encode())
        if draw < 0.6:
            return b"\x7fELF\x02\x01\x01" + self.rng.randbytes(self.rng.randrange(32, 400))
        return self.text("filetext").encode() if draw < 0.8 else self.rng.randbytes(self.rng.randrange(16, 600))

    def pickle(self) -> bytes:
        """A pickle that calls something, to be loaded by the one that holds it."""
        callee, kind = self.rng.choice(
            (
                (Name("os", "system"), "command"),
                (Name("posix", "system"), "command"),
                (Name("builtins", "exec"), "source"),
                (Name("builtins", "eval"), "expr"),
                (Name("subprocess", "check_output"), "argv"),
                (Name("subprocess", "Popen"), "argv"),
                (Name("runpy", "run_path"), "script"),
            )
        )
        return assemble(Call(callee, (self.value(kind),)), random_style(self.rng), self.rng).data

    def code_arguments(self) -> tuple[Tree, ...]:
        """The arguments of CodeType for a function that does harm, for some version of Python."""
        return tuple(self._code_part(part) for part in self.rng.choice(_codes())["arguments"])

    def _code_part(self, part: Any) -> Tree:
        if isinstance(part, dict):
            return bytes.fromhex(part["hex"])
        if isinstance(part, list):
            return tuple(self._code_part(item) for item in part)
        return self._filled(part) if isinstance(part, str) else part

    def _filled(self, text: str) -> str:
        match = _PLACEHOLDER.fullmatch(text)
        return _encoded(self.text(match.group(2), 1), match.group(1)) if match else text

    def code(self) -> Tree:
        """A code object: built from its fields, unmarshalled, or compiled."""
        draw = self.rng.random()
        if draw < 0.4:
            return Call(Name("types", "CodeType"), self.code_arguments())
        if draw < 0.7:
            return Call(Name("marshal", "loads"), (self.marshal(),))
        return Call(Name("builtins", "compile"), (self.text("source"), self.text("text"), "exec"))

    def marshal(self) -> bytes:
        """A marshalled code object that does harm."""
        blob = bytes.fromhex(self.rng.choice(_codes())["marshal"])

        def fill(match: re.Match[bytes]) -> bytes:
            data = self._filled(match.group(1).decode()).encode()
            return (
                b"\xfa" + bytes([len(data)]) + data
                if len(data) < 256
                else b"\xe1" + len(data).to_bytes(4, "little") + data
            )

        return _MARSHALLED.sub(fill, blob)

    def instance(self, owner: Name | None) -> Tree:
        """An object of the class that the callee is a method of."""
        if owner is None or "." not in owner.name:
            return None
        cls = Name(owner.module, owner.name.rpartition(".")[0])
        return New(cls) if self.rng.random() < 0.6 else Call(cls, ())

    def _path_parts(self) -> tuple[str, ...]:
        path = self.text("path")
        return tuple(path.strip("/").split("/")) if self.rng.random() < 0.6 else (path,)


def _encoded(text: str, encoding: str | None) -> str:
    data = text.encode()
    if encoding == "b64":
        return base64.b64encode(data).decode()
    if encoding == "z64":
        return base64.b64encode(zlib.compress(data)).decode()
    return data.hex() if encoding == "hex" else text
