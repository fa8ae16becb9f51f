"""Errors go from process to process as they are: their type, their text and what they carry."""

from __future__ import annotations

import copy
import importlib
import inspect
import multiprocessing
import os
import pickle
import pkgutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import picklegate
from picklegate import guarded
from picklegate.errors import BlockedError, GateError
from picklegate.guard import safe_pickle_loads
from picklegate.report import FileReport
from picklegate.scan import scan_bytes

HOSTILE = b"cos\nsystem\n(S'true'\ntR."
TEXT = "weights.bin is refused (MALICIOUS): loading runs os.system('true').\nAsk the publisher."
FIELDS: dict[str, Any] = {"report": scan_bytes(HOSTILE), "message": TEXT}
"""What errors are made of, by the names of their parameters."""


class _OwnError(BlockedError):
    """A user's own."""


def copies() -> list[Any]:
    """Each way in which an error is made again."""
    ways = [pytest.param(copy.copy, id="copy"), pytest.param(copy.deepcopy, id="deepcopy")]
    protocols = range(pickle.HIGHEST_PROTOCOL + 1)
    return [*ways, *(pytest.param(partial(pickled, protocol), id=f"protocol-{protocol}") for protocol in protocols)]


def pickled(protocol: int, error: Exception) -> Any:
    """The error written and read."""
    return pickle.loads(pickle.dumps(error, protocol))


def everywhere(base: type[Exception]) -> set[type[Exception]]:
    """The error and all that are made of it."""
    return {base}.union(*(everywhere(kind) for kind in base.__subclasses__()))


def errors() -> list[type[Exception]]:
    """All errors of the package that tell users something, those of modules that need no extra among them."""
    for module in pkgutil.walk_packages(picklegate.__path__, "picklegate."):
        if ".training" not in module.name and not module.name.endswith(("__main__", "sitecustomize")):
            importlib.import_module(module.name)
    own = {kind for kind in everywhere(Exception) if kind.__module__.split(".")[0] == "picklegate"}
    return sorted(own | {_OwnError}, key=lambda kind: (kind.__module__, kind.__name__))


GIVEN: dict[str, Any] = {"report": FIELDS["report"], "status": 502, "message": TEXT}
"""What errors are made of, by the names of their parameters."""


def refuse(_: int = 0) -> None:
    """Raise what a front door raises, in whatever process this is."""
    safe_pickle_loads(HOSTILE)


def check(error: BlockedError) -> None:
    """It is what the front door raised."""
    assert type(error) is BlockedError
    assert "os.system" in str(error)
    assert isinstance(error.report, FileReport)
    assert error.report.sha256 == FIELDS["report"].sha256
    assert error.report.streams == FIELDS["report"].streams


@pytest.mark.parametrize("again", copies())
def test_every_error_is_made_again_as_it_was(again: Callable[[Any], Any]) -> None:
    """Type, text, arguments, what it carries, and what others have added to it."""
    kinds = errors()
    assert {GateError, BlockedError, _OwnError} <= set(kinds)
    for kind in kinds:
        own = inspect.isfunction(kind.__init__)
        named = [name for name in inspect.signature(kind).parameters if name in GIVEN] if own else []
        error: Any = kind(*[GIVEN[name] for name in named]) if named else kind(TEXT)
        error.extra = ["added"]
        made = again(error)
        assert type(made) is kind
        assert (str(made), made.args, vars(made)) == (str(error), error.args, vars(error))
        assert made.args == (TEXT,)


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_executors_hand_it_over(method: str) -> None:
    """From a worker of ProcessPoolExecutor, and of multiprocessing.Pool, also where the process is guarded."""
    context: Any = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        for call in (lambda: pool.submit(refuse).result(60), lambda: list(pool.map(refuse, [1]))):
            with pytest.raises(BlockedError) as caught:
                call()
            check(caught.value)
        with guarded(), pytest.raises(BlockedError) as caught:
            pool.submit(refuse).result(60)
        check(caught.value)
    with context.Pool(1) as workers:
        for call in (lambda: workers.apply_async(refuse).get(60), lambda: workers.map_async(refuse, [1]).get(60)):
            with pytest.raises(BlockedError) as caught:
                call()
            check(caught.value)
        with guarded(), pytest.raises(BlockedError) as caught:
            workers.apply_async(refuse).get(60)
        check(caught.value)


@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
def test_joblib_hands_it_over(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So do its workers."""
    joblib = pytest.importorskip("joblib")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    with pytest.raises(BlockedError) as caught:
        joblib.Parallel(2, backend=backend)(joblib.delayed(refuse)(number) for number in range(2))
    check(caught.value)
