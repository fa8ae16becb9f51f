"""What belongs to the user alone: made without following links, refused where others can write."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from picklegate.files import ForeignFileError, open_private, private_directory, private_file, read_private
from picklegate.locks import file_lock

posix = pytest.mark.skipif(os.name != "posix", reason="modes and owners are POSIX's")


def test_what_is_made_is_the_users_alone(tmp_path: Path) -> None:
    """Directory and file have no rights for others."""
    private_directory(tmp_path / "a" / "b")
    private_file(tmp_path / "a" / "b" / "file")
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "a" / "b" / "file").stat().st_mode) == 0o600


@posix
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_what_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    """A file and a directory alike, with what to do."""
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    file.touch()
    for path in (folder, file):
        path.chmod(mode | 0o100)
    with pytest.raises(ForeignFileError, match="chmod go-w"):
        private_directory(folder)
    with pytest.raises(ForeignFileError, match="chmod go-w"):
        read_private(file, 10)


@posix
def test_what_somebody_else_owns_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its mode."""
    (tmp_path / "file").touch()
    os.chown(tmp_path / "file", 12345, -1) if os.geteuid() == 0 else monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(ForeignFileError, match="another user"):
        read_private(tmp_path / "file", 10)


@posix
def test_links_and_pipes_are_not_opened(tmp_path: Path) -> None:
    """A link is not followed, what it leads to is not emptied, and a pipe keeps nobody waiting."""
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "folder").mkdir()
    for name, target in (("link", "precious"), ("linked", "folder"), ("nowhere", "nothing")):
        (tmp_path / name).symlink_to(target)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "nowhere", "pipe", "folder"):
        with pytest.raises(OSError, match=name):
            open_private(tmp_path / name, os.O_RDWR | os.O_CREAT)
    with pytest.raises(ForeignFileError, match="a link"):
        private_directory(tmp_path / "linked")
    for name in ("link", "nowhere", "pipe"):
        with pytest.raises(OSError, match=name), file_lock(tmp_path / name):
            pass
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert not (tmp_path / "nothing").exists()


def test_a_long_file_is_not_read(tmp_path: Path) -> None:
    """Memory is bounded."""
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "file").chmod(0o600)
    assert read_private(tmp_path / "file", 5) == b"12345"
    with pytest.raises(ForeignFileError, match="more than 4 bytes"):
        read_private(tmp_path / "file", 4)
