"""The error tree.

GateError
|- BlockedError      a front door refused; ``.report`` says why
|- ModelDataError    the shipped model is missing, altered or of another schema
|- PolicyError       an option is wrong, with the path to it (also a ValueError)

``OSError`` and huggingface_hub's own errors pass through untouched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from picklegate.report import FileReport


class GateError(Exception):
    """The root of every error that picklegate raises."""


class BlockedError(GateError):
    """A front door refused an artifact; ``report`` is the FileReport that says why."""

    def __init__(self, report: FileReport, message: str) -> None:
        """Keep the report beside the message."""
        super().__init__(message)
        self.report = report

    def __reduce__(self) -> tuple[Any, ...]:
        """What ``pickle`` and ``copy`` make it of again: ``args`` has the message alone."""
        return type(self), (self.report, *self.args), vars(self)


class ModelDataError(GateError):
    """The shipped model is missing, altered or of another schema."""


class PolicyError(GateError, ValueError):
    """An option of a policy is wrong; the message begins with the path to it."""
