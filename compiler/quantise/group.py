"""Fusion groups between quantised values: one operator, and clamps and a pooling behind it."""

from dataclasses import dataclass

from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ops.nn.clip import Clip
from tilewright.compiler.ops.nn.pool import MaxPool
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.window import Window
from tilewright.compiler.quantise.error import require
from tilewright.compiler.quantise.parameter import QuantParams
from tilewright.compiler.quantise.recognise_shape import window_of
from tilewright.compiler.quantise.recognition import describe, sample_of


@dataclass(frozen=True)
class FusionGroup:
    """A fusion group: the operators from quantised values to the next one.

    Members:
        core: a dequantised value or a parameter of the function, or the result of `equation`.
        equation: of the operator at the core, if there is one.
        clamps: activation functions behind it, first to last.
        pool: windows whose maximum is taken behind it: before or after the clamps is the same.
    """

    core: Value
    equation: Equation | None
    clamps: tuple[Clip, ...]
    pool: Window | None

    def limits(self, parameters: QuantParams) -> tuple[int, int]:
        """The least and the greatest integer that the clamps leave."""
        lo, hi = -128, 127
        for clamp in self.clamps:
            least, most = parameters.quantised(clamp.low), parameters.quantised(clamp.high)
            lo, hi = min(max(lo, least), most), min(max(hi, least), most)
        return lo, hi


def trace(function: Function, value: Value) -> FusionGroup:
    """The group that ends at a float value.

    Raises:
        GroupError: if more than one pooling lies behind the core.
    """
    clamps: list[Clip] = []
    pool: Window | None = None
    while (equation := function.producers.get(value)) is not None:
        operator = equation.operator
        if isinstance(operator, Clip):
            clamps.append(operator)
        elif isinstance(operator, MaxPool):
            require(
                pool is None, f"{describe(equation)} is the second pooling without a quantised value between"
            )
            pool = window_of(operator)
        elif isinstance(operator, Reshape):
            is_same = pool is None or _is_image(equation)
            require(is_same, f"{describe(equation)} must not reshape what is pooled")
        else:
            break
        value = equation.operands[0]
    is_operator = equation is not None and not isinstance(equation.operator, Dequantise)
    return FusionGroup(value, equation if is_operator else None, tuple(reversed(clamps)), pool)


def _is_image(reshape: Equation) -> bool:
    """Whether a reshape makes feature maps of height 1 of sequences."""
    sample, result = sample_of(reshape.operands[0]), sample_of(reshape.result)
    return len(sample) == 2 and result == (sample[0], 1, sample[1])


def trace_view(function: Function, value: Value) -> Value:
    """The value that a float value is a view, or a repetition, of."""
    views = (Reshape, Broadcast)
    while (equation := function.producers.get(value)) is not None and isinstance(equation.operator, views):
        value = equation.operands[0]
    return value


def is_sum(equation: Equation) -> bool:
    """Whether an equation adds two activations."""
    return isinstance(equation.operator, Map) and equation.operator.function == "add"
