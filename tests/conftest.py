"""What every test has: directories of its own where picklegate would use the user's."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from picklegate import places


@pytest.fixture(autouse=True, scope="session")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The store and the quarantine of the whole run lie in its temporary directory."""
    before = os.environ.get(places.HOME)
    os.environ[places.HOME] = str(tmp_path_factory.mktemp("home"))
    yield
    if before is None:
        del os.environ[places.HOME]
    else:
        os.environ[places.HOME] = before
