"""What the callables that a pickle names are and can do, told without importing them."""

from typing import TYPE_CHECKING, Any

from picklegate.capabilities.callee import Callee, Callees
from picklegate.capabilities.effects import HARMS, KINDS, NEAR, Effect, Parameter
from picklegate.capabilities.index import Index

if TYPE_CHECKING:
    from picklegate.capabilities.environment import Cache, Environment

__all__ = ["HARMS", "KINDS", "NEAR", "Cache", "Callee", "Callees", "Effect", "Environment", "Index", "Parameter"]


def __getattr__(name: str) -> Any:
    """Import the environment, which parses sources, only for those who use one."""
    if name in {"Cache", "Environment"}:
        from picklegate.capabilities import environment

        return getattr(environment, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
