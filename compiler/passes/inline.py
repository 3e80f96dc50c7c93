"""Calls replaced by what is called."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.call import Call
from tilewright.compiler.ir.function import Equation, Function, Module, Value
from tilewright.compiler.ir.inline import Emit, emit, inline
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.rewrite import rewritten
from tilewright.compiler.ir.size import AnySize
from tilewright.compiler.ops import emit as e

Finished = Callable[[str], Function]
"""The function of that name, its own calls replaced already."""


@dataclass(frozen=True)
class InlineCalls:
    """Puts the equations of called functions in place of calls; functions that call themselves stay.

    A call also stays if its results show a size first, or a size of the called function does not follow from
    one operand alone.
    """

    name: ClassVar[str] = "inline_calls"

    def apply(self, module: Module) -> Module:
        """The module without such calls, and without functions that nobody calls."""
        recursive = {name for name in module.functions if name in _reached(module, module.functions[name])}
        done: dict[str, Function] = {}

        def finished(name: str) -> Function:
            if name not in done:
                done[name] = rewritten(module.functions[name], _rule(module, recursive, finished))
            return done[name]

        kept = Module({"main": finished("main")})
        names = _reached(Module({**module.functions, **kept.functions}), kept.main)
        return Module({**kept.functions, **{name: finished(name) for name in names if name != "main"}})


def _rule(module: Module, recursive: set[str], finished: Finished) -> Emit:
    def each(
        b: Builder, equation: Equation, operator: Operator, operands: tuple[Value, ...]
    ) -> Sequence[Value]:
        if not isinstance(operator, Call) or operator.function in recursive or operator.sizes:
            return emit(b, equation, operator, operands)
        callee = finished(operator.function)
        sizes = _sizes(callee, operands)
        if sizes is None:
            return emit(b, equation, operator, operands)
        types = [value.type.evaluate(sizes) for value in callee.parameters]
        with b.label(*equation.labels):
            given = [e.assume(b, x, each.shape) for x, each in zip(operands, types, strict=True)]
            results = inline(b, callee, given, _labelled(equation.labels), sizes)
            return [e.assume(b, x, shape) for x, shape in zip(results, operator.shapes, strict=True)]

    return each


def _labelled(labels: tuple[str, ...]) -> Emit:
    """Adds equations as they are; those without labels get the call's."""

    def each(
        b: Builder, equation: Equation, operator: Operator, operands: tuple[Value, ...]
    ) -> Sequence[Value]:
        with b.label(*(equation.labels or labels)):
            return b.apply(operator, *operands)

    return each


def _sizes(callee: Function, operands: Sequence[Value]) -> dict[str, AnySize] | None:
    """The sizes of the caller that stand for the called function's; None if one does not follow."""
    found: dict[str, AnySize] = {}
    for parameter, operand in zip(callee.parameters, operands, strict=True):
        for wanted, given in zip(parameter.type.shape, operand.type.shape, strict=True):
            if not isinstance(wanted, int) and wanted.name is not None:
                found.setdefault(wanted.name, given)
    return found if found.keys() >= set(callee.size_names) else None


def _reached(module: Module, function: Function) -> list[str]:
    """Names of the functions that one calls, directly or through others."""
    found: dict[str, None] = {}
    pending = [function]
    while pending:
        for equation in pending.pop().equations:
            pending += equation.operator.regions
            operator = equation.operator
            if isinstance(operator, Call) and operator.function not in found:
                found[operator.function] = None
                pending.append(module.functions[operator.function])
    return list(found)
