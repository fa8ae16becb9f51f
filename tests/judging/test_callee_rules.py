"""What the index says of a callee decides, and what it cannot say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from picklegate import Policy, Verdict, scan_bytes
from picklegate.training import indexed
from picklegate.training.tree import Build, Call, Name, New
from support.builders import SOURCE, call, written


def _codes(tree: Any, **policy: Any) -> dict[str, Verdict]:
    report = scan_bytes(written(tree), policy=Policy(**policy))
    return {finding.code: finding.verdict for finding in reversed(report.reasons)}


@pytest.mark.parametrize(
    "handed", ["word", b"bytes", Name("package.other", "function"), call("package.other", "make"), {"a": "b c"}]
)
def test_an_unknown_function_that_is_handed_something_is_suspicious(handed: Any) -> None:
    """A text, bytes, a callable or the result of a function could decide what it does."""
    found = _codes(call("own.module", "rebuild", handed))
    assert found["call.unknown-function"] == Verdict.SUSPICIOUS


@pytest.mark.parametrize("handed", [1, None, 2.5, (1, 2), [True], call("datetime", "timedelta", 1), {"name": 1}])
def test_an_unknown_function_that_is_handed_numbers_is_shown(handed: Any) -> None:
    """Numbers and arrays decide nothing: the call is told, and a strict policy blocks it."""
    assert _codes(call("own.module", "rebuild", handed))["call.unknown-function"] == Verdict.CLEAN
    assert _codes(call("own.module", "rebuild", handed), strict=True)["call.unknown-function"] == Verdict.SUSPICIOUS


def test_classes_stay_open() -> None:
    """A class of nobody's is made of what its author likes."""
    assert "call.unknown-function" not in _codes(call("own.module", "Color", "red"))
    assert "call.unknown-function" not in _codes(Build(New(Name("own.module", "net")), {"a": "b"}))


def test_a_method_called_by_its_class_counts_with_its_instance() -> None:
    """What the instance holds decides as well as an argument."""
    made = call("own.module", "Book", "name")
    assert _codes(call("own.module", "Book.close", made))["call.unknown-function"] == Verdict.SUSPICIOUS


@pytest.mark.parametrize(
    "tree",
    [
        call("collections", "OrderedDict", "ls -la"),
        call("collections", "defaultdict", "os.system"),
        Call(Name("torch._utils", "_rebuild_tensor_v2"), (SOURCE, 0, (1,), (1,), False, {})),
        Call(Name("torch._utils", "_rebuild_parameter"), (b"code", True, {})),
        call("numpy._core.multiarray", "_reconstruct", "ndarray", (0,), b"b"),
        call("numpy._core.multiarray", "scalar", "f8", b"12345678"),
        call("datetime", "datetime", "a text of many letters"),
        call("fractions", "Fraction", "import os"),
        call("builtins", "set", "a text"),
        call("torch", "Size", ["3", SOURCE]),
        call("torch", "device", "cpu; ls"),
    ],
)
def test_what_the_real_callable_refuses_is_suspicious(tree: Any) -> None:
    """Nobody's serialiser writes such a call."""
    assert _codes(tree)["call.contract"] == Verdict.SUSPICIOUS


@pytest.mark.parametrize(
    "tree",
    [
        call("collections", "OrderedDict", [("a", 1)]),
        call("datetime", "datetime", b"\x07\xe4\x01\x01\x00\x00\x00\x00\x00\x00"),
        call("fractions", "Fraction", "3/4"),
        call("decimal", "Decimal", "-1.5E+3"),
        call("torch", "device", "cuda", 0),
        Call(Name("numpy", "dtype"), ("datetime64[ns]", False, True)),
    ],
)
def test_what_it_takes_is_clean(tree: Any) -> None:
    """The calls that serialisers write."""
    assert scan_bytes(written(tree)).verdict == Verdict.CLEAN


_HEAD = "from torch import device\nimport torch\n"


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.system('true')\ndef forward(self): pass\n",
        "def forward(self, x = __import__('os')): pass\n",
        "def forward(self):\n    return torch.hub.load('a', 'b')\n",
        "def forward(self):\n    return exec('1')\n",
        "def forward(self):\n    a = torch.os\n    return a.system('true')\n",
        "def forward(self):\n    return getattr(torch, 'os').system('true')\n",
        "def forward(self):\n    return self.__class__.__base__\n",
        "def forward(self):\n    import os\n",
        "[*map(exec, ['1'])]",
        "@exec\ndef forward(self): pass\n",
    ],
)
def test_source_that_torch_fx_does_not_write_is_suspicious(code: str) -> None:
    """reduce_graph_module runs its source: one forward that calls torch, and nothing else."""
    tree = call("torch.fx.graph_module", "reduce_graph_module", {"_code": code}, _HEAD)
    assert _codes(tree)["call.contract"] == Verdict.SUSPICIOUS


def test_source_that_torch_fx_writes_is_clean() -> None:
    """A traced module passes."""
    code = "\n\n\ndef forward(self, x : torch.Tensor):\n    relu = torch.relu(x)\n    return self.linear(relu)\n"
    tree = call("torch.fx.graph_module", "reduce_graph_module", {"_code": code, "training": True}, _HEAD)
    assert scan_bytes(written(tree)).verdict == Verdict.CLEAN


def test_rules_on_names_ask_for_arguments() -> None:
    """A class without arguments is no download, whatever it is called."""
    assert scan_bytes(written(New(Name("sphinx.addnodes", "download_reference")))).verdict == Verdict.CLEAN
    assert (
        scan_bytes(written(Call(Name("own.module", "download_model"), ("http://example.invalid",)))).verdict
        > Verdict.CLEAN
    )


def test_a_callee_that_hands_its_argument_to_a_sink_is_told_with_the_line() -> None:
    """The message names the argument, the primitive and where it happens."""
    report = scan_bytes(written(call("pandas", "read_pickle", "x")))
    found = next(finding for finding in report.reasons if finding.code == "call.capability")
    assert found.verdict == Verdict.SUSPICIOUS
    assert "hands its argument 0" in found.message
    assert "pandas/io/" in found.message
    assert " line " in found.message


def test_bytes_for_an_unpickler_are_judged_as_a_stream() -> None:
    """Honest bytes pass, hostile ones block, and what is no pickle does too."""
    module, name = "joblib.externals.loky.backend.reduction", "loads"
    assert "call.execution" in _codes(call(module, name, b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R."))
    assert "call.capability" not in _codes(call(module, name, b"\x80\x04]K\x01a."))


def test_a_function_that_is_handed_on_is_judged_where_it_is_called() -> None:
    """tree_map calls what it is handed."""
    tree = call("torch.utils._pytree", "tree_map", Name("shutil", "rmtree"), ["a"])
    assert _codes(tree)["call.handed-on"] == Verdict.SUSPICIOUS


def test_a_stored_callable_is_told() -> None:
    """A loader that honest projects keep is a note, one that runs code is suspicious."""
    kept = Build(New(Name("own.module", "Dataset")), {"loader": Name("torch", "load")})
    assert scan_bytes(written(kept)).verdict == Verdict.CLEAN
    hook = Build(New(Name("own.module", "Net")), {"hook": Name("importlib", "import_module")})
    assert _codes(hook)["state.capability"] == Verdict.SUSPICIOUS


def _code(*names: str) -> Any:
    return call("types", "CodeType", 0, 0, 0, 0, 1, 67, b"\x97\x00", (None,), names, (), "f.py", "f", "f", 1, b"", b"")


def _function(*names: str) -> Any:
    return call("cloudpickle.cloudpickle", "_make_function", _code(*names), {"__name__": "f"}, None, None, None)


@pytest.mark.parametrize(
    ("names", "verdict"),
    [
        (("system",), Verdict.MALICIOUS),
        (("torch.hub", "load"), Verdict.MALICIOUS),
        (("nobodys.module", "do"), Verdict.SUSPICIOUS),
        (("append", "items"), Verdict.CLEAN),
        (("numpy", "zeros"), Verdict.CLEAN),
    ],
)
def test_brought_code_is_judged_by_what_it_refers_to(names: tuple[str, ...], verdict: Verdict) -> None:
    """A function that the stream makes and calls: what it names, what it imports, or nothing of both."""
    assert _codes(Call(_function(*names), ()))["call.made-function"] == verdict


def test_the_environment_only_adds(tmp_path: Path) -> None:
    """What is installed adds local findings and changes neither the verdict nor what it rests on."""
    (tmp_path / "own_package.py").write_text(
        "import os\n\n\nclass Thing:\n    def __init__(self, x):\n        os.system(x)\n"
    )
    data = written(call("own_package", "Thing", "word"))
    alone, beside = scan_bytes(data), scan_bytes(data, policy=Policy(environment=(str(tmp_path),)))
    assert alone.verdict == beside.verdict == Verdict.CLEAN
    assert alone.local_findings == ()
    assert beside.local_verdict == Verdict.SUSPICIOUS
    assert "os.system" in beside.local_findings[0].message
    assert Policy().blocks(beside)
    assert not Policy().blocks(alone)


_SPLITS = "\ndef _parse_args(self, a, loc=0, scale=1):\n    return (a,), loc, scale\n"


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        (_SPLITS, Verdict.CLEAN),
        (
            f"{_SPLITS}\ndef _parse_args_rvs(self, a, size=None):\n    return self._argcheck_rvs(a, size=size)\n",
            Verdict.CLEAN,
        ),
        (f"import os\n{_SPLITS}", Verdict.SUSPICIOUS),
        ("def _parse_args(self, a=__import__('os')): pass", Verdict.SUSPICIOUS),
        ("def other(self): return 1", Verdict.SUSPICIOUS),
    ],
)
def test_a_distribution_runs_only_what_scipy_writes(source: str, verdict: Verdict) -> None:
    """The state of a distribution holds source, which is run where it is set."""
    state = {"_parse_arg_template": source, "name": "gamma"}
    tree = Build(New(Name("scipy.stats._continuous_distns", "gamma_gen")), state)
    assert _codes(tree).get("call.contract", Verdict.CLEAN) == verdict


@pytest.mark.parametrize("text", ["config", "/tmp/inert/x", "http://example.invalid/x"])
def test_callables_of_the_index_that_do_harm_are_not_clean(text: str) -> None:
    """A word, a path or an address that a callable hands to a sink is enough."""
    rows = indexed.rows()[::40]
    trees = [
        (row, Call(Name(row[0], row[1]), tuple(None if kind == "none" else text for kind in row[4].split())))
        for row in rows
    ]
    passing = [row[:2] for row, tree in trees if scan_bytes(written(tree)).verdict == Verdict.CLEAN]
    assert passing == []
