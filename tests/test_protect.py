"""Protection: libraries that download by themselves do so through the gate, and get everything back afterwards."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import HfApi, _snapshot_download, file_download

import picklegate
from picklegate.demo import models
from picklegate.demo.hub_server import Hub
from picklegate.errors import BlockedError
from picklegate.hub.download import safe_hf_hub_download
from picklegate.policy import Policy
from picklegate.protection import protect

HOSTILE = models.repositories()[models.HOSTILE]
WEIGHTS = models.WEIGHTS
NAMES = ("hf_hub_download", "snapshot_download", "try_to_load_from_cache")
LIBRARY = f"""
from functools import partial
from huggingface_hub import {", ".join(NAMES)}
fetch = hf_hub_download
fetch_for_us = partial(hf_hub_download, library_name="library")
def from_pretrained(name, **options):
    return fetch(name, {WEIGHTS!r}, **options)
"""


@pytest.fixture(name="hub")
def _hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    with Hub(models.repositories()) as hub:
        yield hub


@pytest.fixture(name="options")
def _options(hub: Hub, tmp_path: Path) -> dict[str, Any]:
    return {"cache_dir": tmp_path, "endpoint": hub.endpoint, "token": False}


@pytest.fixture(name="library")
def _library(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """A library that was imported before."""
    with imported() as module:
        yield module


@contextlib.contextmanager
def imported() -> Iterator[ModuleType]:
    """A module that has the client's functions under several names."""
    module = ModuleType("library_under_test")
    exec(LIBRARY, vars(module))
    sys.modules[module.__name__] = module
    try:
        yield module
    finally:
        del sys.modules[module.__name__]


def bound() -> dict[str, object]:
    """Every name that one of the client's functions, or what stands for them, has in any module."""
    return {
        f"{module_name}.{name}": value
        for module_name, module in list(sys.modules.items())
        for name, value in list(getattr(module, "__dict__", {}).items())
        if (isinstance(value, FunctionType) and value.__name__ in NAMES) or type(value) is functools.partial
    }


def identical(first: dict[str, object], second: dict[str, object]) -> bool:
    """Whether the same names have the same objects."""
    return first.keys() == second.keys() and all(first[name] is second[name] for name in first)


def test_everything_is_restored(library: ModuleType) -> None:
    """Each name has the very object that it had, and so does what was made of it."""
    before, inside = bound(), library.fetch_for_us.func
    with protect():
        assert library.fetch is not before["library_under_test.fetch"]
        assert library.fetch_for_us.func is library.fetch
    assert identical(bound(), before)
    assert library.fetch_for_us.func is inside
    assert library.fetch_for_us.keywords == {"library_name": "library"}


def test_libraries_are_restored_that_were_imported_meanwhile() -> None:
    """They find the gated functions, and afterwards have the client's."""
    with protect(), imported() as module:
        assert module.fetch is huggingface_hub.hf_hub_download
        gated = module.fetch
        with contextlib.ExitStack() as stack:
            stack.enter_context(protect())
    assert module.fetch is gated, "gone from sys.modules, it is nobody's to restore"
    with contextlib.ExitStack() as stack:
        with protect():
            module = stack.enter_context(imported())
        assert module.fetch is file_download.hf_hub_download
        assert module.fetch_for_us.func is file_download.hf_hub_download


@pytest.mark.parametrize(
    "call",
    [
        lambda library, **options: library.from_pretrained(models.HOSTILE, **options),
        lambda library, **options: library.fetch_for_us(models.HOSTILE, WEIGHTS, **options),
        lambda library, **options: library.snapshot_download(models.HOSTILE, **options),
        lambda library, **options: file_download.hf_hub_download(models.HOSTILE, WEIGHTS, **options),
        lambda library, **options: _snapshot_download.snapshot_download(models.HOSTILE, **options),
        lambda library, **options: huggingface_hub.hf_hub_download(models.HOSTILE, WEIGHTS, **options),
        lambda library, endpoint, **options: HfApi(endpoint).hf_hub_download(models.HOSTILE, WEIGHTS, **options),
        lambda library, endpoint, **options: HfApi(endpoint).snapshot_download(models.HOSTILE, **options),
        lambda library, **options: safe_hf_hub_download(models.HOSTILE, WEIGHTS, **options),
        lambda library, **options: picklegate.safe_snapshot_download(models.HOSTILE, **options),
    ],
    ids=["library", "partial", "snapshot", "home", "home-all", "package", "api", "api-all", "safe", "safe-all"],
)
def test_every_way_leads_through_the_gate(
    library: ModuleType, options: dict[str, Any], tmp_path: Path, call: Any
) -> None:
    """The hostile file is refused and not kept."""
    with protect(), pytest.raises(BlockedError, match=models.HOSTILE):
        call(library, **options)
    assert not any(path.is_file() and path.read_bytes() == HOSTILE[WEIGHTS] for path in tmp_path.rglob("*"))


def test_an_ordinary_model_arrives(library: ModuleType, options: dict[str, Any], hub: Hub) -> None:
    """With the client's results, and each content is fetched once."""
    with protect():
        path = library.from_pretrained(models.ORDINARY, **options)
        folder = library.snapshot_download(models.ORDINARY, **options)
        found = library.try_to_load_from_cache(models.ORDINARY, WEIGHTS, options["cache_dir"])
    assert path == found == str(Path(folder) / WEIGHTS)
    assert inspect.signature(library.fetch) == inspect.signature(file_download.hf_hub_download)
    fetched = [request.path for request in hub.requests if request.origin == "cdn" and not request.range]
    assert fetched
    assert len(fetched) == len(set(fetched))


def test_what_lies_in_the_cache_is_judged_before_it_is_told(library: ModuleType, options: dict[str, Any]) -> None:
    """Libraries open what try_to_load_from_cache finds without a download; what is not there stays not there."""
    path = library.fetch(models.HOSTILE, WEIGHTS, **options)
    with protect():
        with pytest.raises(BlockedError):
            library.try_to_load_from_cache(models.HOSTILE, WEIGHTS, cache_dir=options["cache_dir"])
        assert Path(path).exists()
        with pytest.raises(BlockedError):
            library.try_to_load_from_cache(models.HOSTILE, WEIGHTS, options["cache_dir"])
        assert library.try_to_load_from_cache(models.HOSTILE, "missing.bin", options["cache_dir"]) is None


def test_the_policy_is_that_of_the_innermost_block(library: ModuleType, options: dict[str, Any]) -> None:
    """And outside of it that of the outer one again."""
    with pytest.raises(BlockedError) as caught, protect():
        library.from_pretrained(models.HOSTILE, **options)
    trusting = Policy(allow_digests=(caught.value.report.sha256,))
    with protect():
        with protect(policy=trusting):
            assert library.from_pretrained(models.HOSTILE, **options)
        with pytest.raises(BlockedError):
            library.from_pretrained(models.HOSTILE, **options)


def test_an_exception_ends_a_block_too(library: ModuleType) -> None:
    """The names are restored on the way out."""
    before = bound()
    with pytest.raises(KeyError), protect():
        raise KeyError
    assert identical(bound(), before)


def test_blocks_of_threads_overlap(library: ModuleType) -> None:
    """While any thread is protected the names are gated, and after the last one they are the client's."""
    before = bound()
    plain = library.fetch
    first, second = protect(), protect()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert library.fetch is not plain
    second.__exit__(None, None, None)
    assert identical(bound(), before)

    barrier = threading.Barrier(8)

    def protected(_: int) -> bool:
        barrier.wait()
        gated = True
        for _ in range(5):
            with protect():
                gated &= library.fetch is not plain
        return gated

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(protected, range(8)))
    assert identical(bound(), before)


def test_it_decorates_a_function(library: ModuleType) -> None:
    """The function runs in a block of its own each time."""
    plain = library.fetch

    @protect()
    def gated() -> bool:
        return library.fetch is not plain

    assert gated()
    assert gated()
    assert library.fetch is plain
