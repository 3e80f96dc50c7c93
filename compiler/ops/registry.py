"""The operators of the IR by name, derived from their classes: what reads text takes them from here."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pkgutil import walk_packages
from types import MappingProxyType

import tilewright.compiler.ops as room
from tilewright.compiler.ir.call import Call
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.kernel import Kernel
from tilewright.compiler.ir.operator import Operator


@cache
def operators() -> Mapping[str, type[Operator]]:
    """Every operator by its name: each file of this room may hold some."""
    for module in walk_packages(room.__path__, f"{room.__name__}."):
        import_module(module.name)
    found = {each.name: each for each in _below(Operator) if each.__module__.startswith(room.__name__)}
    return MappingProxyType({**found, **{each.name: each for each in (Call, Constant, Kernel)}})


def _below(kind: type[Operator]) -> Iterator[type[Operator]]:
    """Classes with a name of their own."""
    for each in kind.__subclasses__():
        if "name" in vars(each):
            yield each
        yield from _below(each)
