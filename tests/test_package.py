"""The package as a user gets it: its names, its cost, its version."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

import picklegate
from picklegate.judging.classifier import classifier

ROOT = Path(__file__).parent.parent
SRC = Path(picklegate.__file__).parent
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
    assert shown == f"picklegate {picklegate.__version__} (model {classifier().version})\n"


def test_readme_uses_public_names() -> None:
    """What the README imports is promised."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    imported = {
        alias.name
        for block in blocks
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported
    assert imported <= set(picklegate.__all__)


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name
)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link of the documentation names a file of the repository."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_api_page_has_each_public_name() -> None:
    """What is promised is documented."""
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    missing = {name for name in picklegate.__all__ if name not in page} - {"__version__"}
    errors = {name for name in missing if name.endswith("Error")}  # the page shows their module
    assert missing == errors
