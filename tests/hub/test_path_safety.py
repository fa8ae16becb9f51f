"""Names that lead out of a folder, by the rules of each system, on whichever of them this runs."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest

from picklegate.hub.path_safety import climbs, leaves
from picklegate.hub.staging import _within

HONEST = ("config.json", "unet/model.bin", "a b/c.d/.e", "..model", "model..bin", "v1.0/x", "0123abcd", "abc-12")
OUT = ("..", "../x", "a/../../x", "a\\..\\x", "..\\x")
OUT_ON_WINDOWS = (
    "C:x",
    "C:/x",
    "C:\\x",
    "c:..\\x",
    "\\\\server\\share\\x",
    "//server/share/x",
    "/x",
    "\\x",
    "\\\\?\\C:\\x",
    "\\\\.\\PhysicalDrive0",
    "model.bin:hidden",
    "model.bin::$DATA",
    "a/.. /x",
    "a/... /x",
    ". ./x",
)


@pytest.mark.parametrize("name", HONEST)
def test_honest_names_stay(name: str) -> None:
    """On every system."""
    assert not climbs(name, windows=True)
    assert not climbs(name, windows=False)
    assert leaves(name, windows=True) == leaves(name, windows=False) == ("/" in name)


@pytest.mark.parametrize("name", OUT)
def test_a_name_that_goes_up_leads_out(name: str) -> None:
    """On every system, as a server may not know which one asks."""
    assert climbs(name, windows=False)
    assert climbs(name, windows=True)
    assert leaves(name, windows=False)


@pytest.mark.parametrize("name", OUT_ON_WINDOWS)
def test_drives_streams_and_trailing_dots_lead_out_on_windows(name: str) -> None:
    """There they are other files; elsewhere some of them are names like others."""
    assert climbs(name, windows=True)
    assert leaves(name, windows=True)


@pytest.mark.parametrize("name", ["C:x", "C:/x", "/x", "\\x", "//server/share/x", "..\\x"])
def test_what_is_joined_stays_below_on_windows(name: str) -> None:
    """Pathlib joins a drive or a root by dropping what stood before."""
    assert not _within(PureWindowsPath(name))
    assert _within(PureWindowsPath("a/b"))


@pytest.mark.parametrize("name", ["/x", "../x", "a/../x"])
def test_what_is_joined_stays_below_elsewhere(name: str) -> None:
    """Likewise."""
    assert not _within(PurePosixPath(name))
    assert _within(PurePosixPath("a/b"))
