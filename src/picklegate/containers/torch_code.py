"""The code that torch's archives bring: TorchScript, of which loading runs ``__setstate__``, and packages of Python.

TorchScript is text that torch compiles. It reaches files only by operators: torch's own (``aten::save``,
``aten::from_file``), or those of libraries, which may do anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from picklegate.containers.context import Context

_TOKEN = re.compile(
    rb"(?P<quote>\x22{3}|\x27{3})(?:\\.|(?!(?P=quote)).)*(?P=quote)"
    rb"|\x22(?:\\.|[^\x22\\\n])*\x22|\x27(?:\\.|[^\x27\\\n])*\x27"
    rb"|\#(?!\ type:)[^\n]*|(?P<word>[A-Za-z_]\w*)|(?P<mark>[^\s\\])",
    re.DOTALL,
)
"""Texts, comments, words and other marks, as torch's own lexer tells them (torch/csrc/jit/frontend/lexer.h)."""
_OPERATOR = re.compile(rb"\b([a-z_]\w*)::(\w+)")
"""How the byte code of mobile archives names an operator."""
_LOADED = re.compile(rb"\b__setstate__\b")
_OWN = frozenset((
    b"aten", b"prim", b"prims", b"quantized", b"_quantized", b"quantization", b"sparse", b"mkldnn", b"mkldnn_prepacked",
    b"mkl", b"onednn", b"inductor", b"profiler", b"c10d", b"_c10d_functional", b"static_runtime", b"prepacked",
    b"xnnpack", b"metal", b"metal_prepack", b"vulkan", b"vulkan_prepack", b"_nnapi", b"onnx", b"export", b"rnn",
))  # fmt: skip
"""Namespaces of torch's own operators, none of which but the named ones of aten reaches a file."""
_REACHING = frozenset((
    b"save", b"load", b"file", b"open", b"read", b"write", b"dump", b"path", b"url", b"download", b"exec", b"system",
    b"shell", b"library", b"import", b"popen", b"connect", b"send", b"remove", b"delete", b"unlink",
))  # fmt: skip
"""Words in the name of an operator that reaches files, programs or the network."""


def is_code(label: bytes) -> bool:
    """Whether a member of a torch archive is TorchScript: its text, or its byte code for phones."""
    label = label.lower()
    return (b"code/" in label and label.endswith(b".py")) or label.rpartition(b"/")[2] == b"bytecode.pkl"


def judge(context: Context, scripts: Iterable[bytes], name: str) -> None:
    """Report operators that reach files wherever they stand, and unknown ones in code that loading may run."""
    called: dict[tuple[bytes, bytes], None] = {}
    loaded = False
    for script in scripts:
        loaded = loaded or bool(_LOADED.search(script))
        called.update(dict.fromkeys(_operators(script)))
    for space, operator in called:
        shown = b"::".join((space, operator)).decode("ascii", "replace")
        when = "loading it, or using it, calls" if loaded else "using it calls"
        if not operator:
            context.odd("torch.script-operator", f"it hands on {shown} operators under another name", name)
        elif not _REACHING.isdisjoint(operator.lower().split(b"_")):
            context.odd("torch.script-operator", f"{when} the operator {shown}, which reaches files or more", name)
        elif loaded and space not in _OWN:
            context.odd("torch.script-operator", f"{when} the operator {shown} of another library", name)


def _operators(script: bytes) -> Iterable[tuple[bytes, bytes]]:
    """(namespace, name) of each operator that a script names; an empty name for a namespace that is handed on.

    A script can give an operator or its namespace another name before it calls it.
    """
    if script[:1] == b"\x80":
        yield from _mobile_operators(script)
        return
    tokens = [match["word"] or match["mark"] or b'""' for match in _TOKEN.finditer(script) if match[0][:1] != b"#"]
    for place, token in enumerate(tokens):
        if token not in (b"torch", b"ops") or tokens[place - 1 : place] == [b"."]:
            continue
        steps: list[bytes] = []
        for dot, step in zip(tokens[place + 1 : place + 5 : 2], tokens[place + 2 : place + 6 : 2], strict=False):
            if dot != b"." or len(steps) == 2:
                break
            steps.append(step)
        if token == b"torch":
            steps.insert(0, b"aten")
        yield (steps[0], steps[1]) if len(steps) > 1 else (b"".join(steps) or token, b"")


def _mobile_operators(script: bytes) -> Iterable[tuple[bytes, bytes]]:
    for match in _OPERATOR.finditer(script):
        start = match.start()
        counted = script[start - 5 : start - 4] == b"X"
        length = int.from_bytes(script[start - 4 : start], "little") if counted else script[start - 1]
        space, _, operator = script[start : min(start + length, match.end())].partition(b"::")
        yield space, operator


def judge_package(context: Context, labels: Iterable[bytes], name: str) -> None:
    """Report an archive of torch.package that brings Python modules: its importer runs them while it unpickles."""
    labels = [label.lower() for label in labels]
    if not any(label.rpartition(b"/.data/")[2] == b"extern_modules" for label in (b"/" + label for label in labels)):
        return
    brought = [label for label in labels if label.endswith((b".py", b".so")) and b"code/" not in label]
    if brought:
        shown = ", ".join(label.decode("utf-8", "replace") for label in brought[:3])
        context.odd("torch.package-code", f"its importer runs the Python modules that it brings: {shown}", name)
