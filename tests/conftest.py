"""What tests have: directories of their own where picklegate would use the user's, and its command line."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from picklegate import paths
from picklegate.cli import main

# Without torch (the extra test-core), the files that need it are left out.
_NEEDS_TORCH = re.compile(r"^(import|from) torch\b", re.MULTILINE)
collect_ignore = (
    [str(path) for path in Path(__file__).parent.rglob("test_*.py") if _NEEDS_TORCH.search(path.read_text("utf-8"))]
    if find_spec("torch") is None
    else []
)


@pytest.fixture(autouse=True, scope="session")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The store and the quarantine of the whole run lie in its temporary directory."""
    before = os.environ.get(paths.HOME)
    os.environ[paths.HOME] = str(tmp_path_factory.mktemp("home"))
    yield
    if before is None:
        del os.environ[paths.HOME]
    else:
        os.environ[paths.HOME] = before


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs the command in this process and returns its exit code."""

    def call(*arguments: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", ["picklegate", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        assert isinstance(exit_.value.code, int)
        return exit_.value.code

    return call
