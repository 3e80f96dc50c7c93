"""The operators of the IR by name, derived from their classes: what texts are parsed with."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

import tilewright.compiler.ir.call
import tilewright.compiler.ir.constant
import tilewright.compiler.ir.kernel  # noqa: F401
import tilewright.compiler.ops.nn as nn
import tilewright.compiler.ops.primitive as primitive
from tilewright.compiler.ir.operator import Operator


@cache
def catalogue() -> Mapping[str, type[Operator]]:
    """Every operator that `ir`, `primitive` and `nn` define, by its name."""
    for room in (primitive, nn):
        for module in iter_modules(room.__path__):
            import_module(f"{room.__name__}.{module.name}")
    return {each.name: each for each in _below(Operator) if each.name}


def _below(kind: type[Operator]) -> Iterator[type[Operator]]:
    for each in kind.__subclasses__():
        if each.__module__.startswith("tilewright."):
            yield each
            yield from _below(each)
