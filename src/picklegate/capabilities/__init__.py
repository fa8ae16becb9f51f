"""What the callables that a pickle names are and can do, told without importing them."""

from picklegate.capabilities.callee import Callee, Callees
from picklegate.capabilities.effects import HARMS, KINDS, NEAR, Effect, Parameter
from picklegate.capabilities.environment import Cache, Environment
from picklegate.capabilities.index import Index

__all__ = ["HARMS", "KINDS", "NEAR", "Cache", "Callee", "Callees", "Effect", "Environment", "Index", "Parameter"]
