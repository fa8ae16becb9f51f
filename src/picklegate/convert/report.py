"""What a conversion results in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """A tensor that was written; ``dtype`` in the names of safetensors, ``shared_with`` the first of the same storage.

    Safetensors keeps each tensor's bytes apart: one that shares its storage with another is a copy.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    shared_with: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """Something that is no tensor, or none that safetensors can hold, and why it was left out."""

    name: str
    what: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ConversionReport:
    """What was written where; ``sha256`` is the digest of the source, ``data`` the plain values beside the tensors."""

    source: str
    target: str
    sha256: str
    tensors: tuple[Tensor, ...]
    left_out: tuple[LeftOut, ...]
    data: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, without the plain values."""
        document = asdict(self)
        document.pop("data")
        return {"schema": "picklegate.conversion/1", **document}
