"""Maximum poolings of convolutions' results, fused into the convolutions."""

from dataclasses import replace

from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.qmax_pool2d import QMaxPool2d
from tilewright.compiler.ops.quantised.window import POINT


def fuse_pools(function: Function) -> Function:
    """Takes the maximum of sums where the maximum of their int8 results was taken.

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


def _can_fuse(function: Function, before: Equation, equation: Equation) -> bool:
    single = before.result not in function.results and len(function.consumers[before.result]) == 1
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
