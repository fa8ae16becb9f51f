"""Where downloads wait for their verdict: a directory of the user's own, whatever others have put in its place."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from picklegate.hub.staging import HOME, is_staged, staging

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links and owners are POSIX's")


def link_to_another_folder(path: Path) -> None:
    """A link to a folder of the user's."""
    path.symlink_to(path.parent / "precious")


def link_to_nothing(path: Path) -> None:
    """A link that making a directory would follow."""
    path.symlink_to(path.parent / "new")


def writable_by_others(path: Path) -> None:
    """A directory in which others can exchange what waits."""
    path.mkdir()
    path.chmod(0o777)


def of_somebody_else(path: Path) -> None:
    """A directory of another user's."""
    path.mkdir()
    os.chown(path, 12345, 12345)


def file(path: Path) -> None:
    """No directory at all."""
    path.touch()


HARMS = [link_to_another_folder, link_to_nothing, writable_by_others, of_somebody_else, file]


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("places", [1, 2, 4])
def test_what_lies_in_its_place_is_not_used(tmp_path: Path, harm: object, places: int) -> None:
    """The staging is made somewhere else, for the user alone, and what lay there is left as it was."""
    if harm is of_somebody_else and os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    target = tmp_path / "target"
    target.mkdir()
    homes = [folder / name for folder in (tmp_path, target) for name in (HOME, f"{HOME}-{os.geteuid()}")]
    for folder in (tmp_path, target):
        (folder / "precious").mkdir()
        (folder / "precious" / "0123.lock").touch()
        (folder / "precious" / "0123").mkdir()
    for home in homes[:places]:
        harm(home)  # type: ignore[operator]
    with staging(target, inside="") as stage:
        entry = stage.stat()
        assert stat.S_IMODE(entry.st_mode) == 0o700
        assert entry.st_uid == os.geteuid()
        assert is_staged(stage / "deep" / "file")
        assert not any(home in stage.parents for home in homes[:places])
        assert not (tmp_path / "new").exists()
    assert not is_staged(stage / "deep" / "file")
    assert not stage.exists()
    for folder in (tmp_path, target):
        assert sorted(path.name for path in (folder / "precious").iterdir()) == ["0123", "0123.lock"]


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    """But nothing that a link leads to."""
    target = tmp_path / "target"
    target.mkdir()
    left = tmp_path / HOME / "abc"
    left.mkdir(parents=True)
    (tmp_path / HOME).chmod(0o700)
    (left / "file").touch()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (left / "link").symlink_to(tmp_path / "precious")
    (tmp_path / HOME / "linked").symlink_to(tmp_path / "precious")
    with staging(target, inside=""):
        pass
    assert not left.exists()
    assert (tmp_path / "precious" / "file").exists()
