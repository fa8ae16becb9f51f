"""Methods that no opcode names: those that unpicklers and helpers look up on what the stream brings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from picklegate import Verdict, scan_bytes
from picklegate.training.tree import Build, Call, Extend, Name, New
from support.builders import call, written

PLANTED = call("functools", "partial", Name("anylib.core", "apply_all"), "x")
BAGS = (("argparse", "Namespace"), ("types", "SimpleNamespace"), ("torch.nn.modules.module", "Module"))


def _bag(kind: tuple[str, str], **state: Any) -> Build:
    return Build(New(Name(*kind)), state)


DETOURS: dict[str, Callable[[tuple[str, str]], Any]] = {
    "deepcopy": lambda kind: call("copy", "deepcopy", _bag(kind, __deepcopy__=PLANTED)),
    "clone": lambda kind: call("sklearn.base", "clone", _bag(kind, get_params=PLANTED)),
    "method-of-another-class": lambda kind: call("torch.nn", "Module.eval", _bag(kind, train=PLANTED)),
    "state-with-items": lambda kind: Build(New(Name("argparse", "Namespace")), _bag(kind, items=PLANTED)),
    "slots-with-items": lambda kind: Build(New(Name("argparse", "Namespace")), (None, _bag(kind, items=PLANTED))),
    "append": lambda kind: Extend(_bag(kind, append=PLANTED), (1,)),
    "extend": lambda kind: Extend(_bag(kind, extend=PLANTED), (1, 2)),
    "setstate": lambda kind: Build(_bag(kind, __setstate__=PLANTED), {"a": 1}),
    "attribute-called": lambda kind: Call(call("builtins", "getattr", _bag(kind, run=PLANTED), "run")),
    "instance-called": lambda kind: Call(_bag(kind, __call__=PLANTED)),
    "methodcaller": lambda kind: Call(call("operator", "methodcaller", "run"), (_bag(kind, run=PLANTED),)),
}


@pytest.mark.parametrize("kind", BAGS, ids=lambda kind: kind[1])
@pytest.mark.parametrize("detour", DETOURS)
def test_a_method_that_the_stream_plants_is_told(detour: str, kind: tuple[str, str]) -> None:
    """Whatever looks it up, the file is not CLEAN."""
    assert scan_bytes(written(DETOURS[detour](kind))).verdict > Verdict.CLEAN


def test_an_instance_that_keeps_a_function_is_honest() -> None:
    """A module with its activation, its hooks' owner and its wrapped function alarms nobody."""
    state = {"activation": Name("torch", "relu"), "__wrapped__": Name("anylib.layers", "Linear"), "training": True}
    assert scan_bytes(written(_bag(("anylib.layers", "Net"), **state))).verdict == Verdict.CLEAN


@pytest.mark.parametrize(
    "module", ["unittest.__main__", "IPython.__main__", "some.pkg.__main__", "this", "antigravity"]
)
def test_an_import_that_acts_is_told(module: str) -> None:
    """Nothing of such a module needs to be called."""
    assert scan_bytes(written([Name(module, "anything")])).verdict > Verdict.CLEAN
    assert scan_bytes(written([call("importlib", "import_module", module)])).verdict > Verdict.CLEAN


def test_the_main_module_itself_is_ordinary() -> None:
    """Classes of a notebook are in ``__main__``."""
    assert scan_bytes(written(New(Name("__main__", "Net")))).verdict == Verdict.CLEAN
