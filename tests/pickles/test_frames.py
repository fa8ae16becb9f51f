"""A frame that goes on behind STOP: what follows is read from behind STOP and from behind the frame."""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable
from typing import Any

import pytest

from picklegate import Verdict, scan_bytes
from picklegate.pickles import Trace, trace
from support.oracle import Stub

PAYLOAD = b"cos\nsystem\n(S'true'\ntR."
PYTHON: Any = pickle._Unpickler


def past_stop(junk: bytes, behind: bytes) -> bytes:
    """A pickle of None, whose frame also holds ``junk``, and what stands behind the frame."""
    body = b"N." + junk
    return b"\x80\x04\x95" + struct.pack("<Q", len(body)) + body + behind


def asked(unpickler: Any, data: bytes, loads: int) -> list[str]:
    """The names that so many loads of one BytesIO ask for."""
    names: list[str] = []

    class Recording(unpickler):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> type:
            names.append(f"{module}.{name}")
            return Stub

    file = io.BytesIO(data)
    for _ in range(loads):
        try:
            Recording(file).load()
        except Exception:  # noqa: BLE001  whatever it raises: what it asked for before counts
            break
    return names


def seen(found: Trace) -> list[str]:
    """The callees of a trace and of the other readings."""
    return [event.name for event in found.events] + [name for _, inner in found.nested for name in seen(inner)]


@pytest.mark.parametrize("unpickler", [pickle.Unpickler, PYTHON], ids=["C", "Python"])
@pytest.mark.parametrize("before", [b"", pickle.dumps(1, 2), past_stop(b"\xff", b"")], ids=["next", "third", "again"])
def test_a_payload_behind_a_frame_is_seen(unpickler: Callable[..., Any], before: bytes) -> None:
    """The straight reading ends in junk behind STOP, and the real unpickler of a BytesIO goes on behind the frame."""
    data = past_stop(b"\xff\xff", before + PAYLOAD)
    assert "os.system" in asked(unpickler, data, 3)
    assert "os.system" in seen(trace(data))
    assert scan_bytes(data).verdict == Verdict.MALICIOUS


def test_a_payload_between_stop_and_the_frames_end_is_seen() -> None:
    """The other reading: a file with ``peek`` goes on behind STOP."""
    data = past_stop(PAYLOAD, pickle.dumps(1))
    assert scan_bytes(data).verdict == Verdict.MALICIOUS


def test_a_frame_that_ends_with_stop_has_one_reading() -> None:
    """What picklers write has no note, also where pickles follow one another."""
    data = pickle.dumps(list(range(40_000)), 4) * 2
    assert not trace(data).notes
    assert not trace(data).nested
