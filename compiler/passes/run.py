"""Runs passes one after the other, each result verified and shown."""

from collections.abc import Callable, Sequence
from typing import Protocol

from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.function import Function, Module
from tilewright.compiler.ir.print import print_module
from tilewright.compiler.ir.verify import verify

Observer = Callable[[str, str], object]
"""Is called with the name of a pass and the text of the module behind it."""


class Pass(Protocol):
    """A pass: turns a module into another one of the same meaning."""

    @property
    def name(self) -> str:
        """In messages and for observers."""
        ...

    def apply(self, module: Module) -> Module:
        """The module behind the pass; the given one stays as it is."""
        ...


def run_passes(module: Module, passes: Sequence[Pass], observe: Observer | None = None) -> Module:
    """The module behind all passes; it is verified before the first one and behind each.

    Args:
        module: the module before the passes.
        passes: in their order.
        observe: is given the name and the text of each pass.

    Raises:
        IrError: naming the pass whose result is wrong, or what is wrong with the input.
    """
    verify(module)
    for each in passes:
        module = each.apply(module)
        try:
            verify(module)
        except IrError as error:
            raise IrError(f"pass {each.name!r} must leave a valid module: {error}") from error
        if observe is not None:
            observe(each.name, print_module(module))
    return module


def each_function(module: Module, change: Callable[[Function], Function]) -> Module:
    """The module with each of its functions changed; names stay."""
    return Module({name: change(function) for name, function in module.functions.items()})
