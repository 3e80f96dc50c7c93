"""Fuses integer operators: maximum poolings of convolutions' results, and tables of tables."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.inline import emit, inline
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.prune import pruned
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.qlookup import QLookup
from tilewright.compiler.ops.quantised.qmax_pool2d import QMaxPool2d
from tilewright.compiler.ops.quantised.window import POINT
from tilewright.numerics.table import FIRST


def fuse_pools(function: Function) -> Function:
    """Takes the maximum of accumulators where the maximum of their int8 results was taken.

    Exact: requantisation never decreases, and a clamp behind a clamp is one clamp.
    """
    fused: dict[Value, Equation] = {}
    for equation in function.equations:
        before = fused.get(equation.operands[0]) if equation.operands else None
        if before is not None and _can_fuse(function, before, equation):
            del fused[before.result]
            fused[equation.result] = _joined(before, equation)
        else:
            fused[equation.result] = equation
    return replace(function, equations=tuple(fused.values()))


def fuse_tables(function: Function) -> Function:
    """One table for two of which the second alone reads the first. Exact."""
    b = Builder(function.name)
    parameters = [b.parameter(value.name, value.type) for value in function.parameters]
    return pruned(b.function(*inline(b, function, parameters, _Tables(function).emit)))


@dataclass
class _Tables:
    """What is known of the tables in a function while it is built again.

    Members:
        function: as it was.
        made: of each result of a table in what is built: the value it is of, and its entries.
    """

    function: Function
    made: dict[Value, tuple[Value, Array]] = field(default_factory=dict)

    def emit(
        self, b: Builder, equation: Equation, operator: Operator, operands: tuple[Value, ...]
    ) -> Sequence[Value]:
        """The equation as it is, or of what the table before it reads."""
        if not isinstance(operator, QLookup):
            return emit(b, equation, operator, operands)
        x, table = operands
        literal = b.literal(table)
        assert literal is not None, "lowered: tables are constants"
        entries = literal.array
        if x in self.made and _is_read_once(self.function, equation.operands[0]):
            x, before = self.made[x]
            entries = entries[before.astype(np.intp) - FIRST]
            table = b.constant(entries)
        results = emit(b, equation, operator, (x, table))
        self.made[results[0]] = x, entries
        return results


def _is_read_once(function: Function, value: Value) -> bool:
    return value not in function.results and len(function.consumers[value]) == 1


def _can_fuse(function: Function, before: Equation, equation: Equation) -> bool:
    single = _is_read_once(function, before.result)
    convolution, pool = before.operator, equation.operator
    pair = isinstance(convolution, QConv2d) and isinstance(pool, QMaxPool2d)
    return single and pair and isinstance(convolution, QConv2d) and convolution.pool is None


def _joined(before: Equation, equation: Equation) -> Equation:
    convolution, pool = before.operator, equation.operator
    assert isinstance(convolution, QConv2d)
    assert isinstance(pool, QMaxPool2d)
    lo, hi = (min(max(limit, pool.lo), pool.hi) for limit in (convolution.lo, convolution.hi))
    window = None if pool.window.kernel == POINT.kernel and pool.window.strides == (1, 1) else pool.window
    operator = replace(convolution, lo=lo, hi=hi, pool=window)
    return replace(before, operator=operator, results=equation.results)
