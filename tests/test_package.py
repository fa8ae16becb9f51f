"""The package as a user gets it: its names, its cost, its version."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

import picklegate

HEAVY = ["click", "huggingface_hub", "joblib", "numpy", "pickle", "requests", "sklearn", "torch", "tqdm", "xgboost"]


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def test_import_brings_nothing_heavy() -> None:
    """``import picklegate`` imports none of the libraries that the front doors need later."""
    loaded = python("import sys; import picklegate; print(*sorted(sys.modules))").split()
    assert "picklegate" in loaded
    assert not set(HEAVY) & set(loaded)


def test_import_is_fast() -> None:
    """``import picklegate`` takes less than 60 ms, in the best of three fresh interpreters."""
    code = "from time import perf_counter as now; start = now(); import picklegate; print(now() - start)"
    assert min(float(python(code)) for _ in range(3)) < 0.060


@pytest.mark.parametrize("name", picklegate.__all__)
def test_public_names_are_there(name: str) -> None:
    """Each public name resolves, and lists itself."""
    assert getattr(picklegate, name) is not None
    assert name in dir(picklegate)


def test_public_names_have_one_home() -> None:
    """The names that are promised are those that have a home, and the version."""
    assert {*picklegate._HOMES, "__version__"} == set(picklegate.__all__)
    assert len(picklegate.__all__) == len(set(picklegate.__all__))


def test_unknown_name_is_an_attribute_error() -> None:
    """A name that is not public fails as it does in any module."""
    with pytest.raises(AttributeError, match="no attribute 'scan_everything'"):
        _ = picklegate.scan_everything


def test_version_is_that_of_the_distribution() -> None:
    """The version is written once."""
    assert importlib.metadata.version("picklegate") == picklegate.__version__


def test_runs_as_a_module() -> None:
    """``python -m picklegate`` is the command."""
    command = [sys.executable, "-m", "picklegate", "--version"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert shown == f"picklegate {picklegate.__version__}\n"
