"""The operators by name, derived from their classes."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

import tilewright.compiler.ops as room
from tilewright.compiler.ops.operator import Operator


@cache
def operators() -> dict[str, type[Operator]]:
    """Every operator by its name: each file of this room may hold some."""
    for module in iter_modules(room.__path__):
        import_module(f"{room.__name__}.{module.name}")
    return {operator.name: operator for operator in Operator.__subclasses__()}
