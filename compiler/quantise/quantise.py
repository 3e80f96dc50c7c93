"""Functions of floats to functions of integers."""

from collections.abc import Mapping

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Function
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ops.nn.quantise import QuantiseAffine
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.quantise.calibration import RangeMethod, measure_ranges
from tilewright.compiler.quantise.error import QuantiseError
from tilewright.compiler.quantise.fusion import fuse_pools, fuse_tables
from tilewright.compiler.quantise.insertion import insert_quantisation
from tilewright.compiler.quantise.lowering import lower
from tilewright.compiler.quantise.recognise import recognise
from tilewright.numerics.progress import Share


def quantise(
    named: NamedFunction,
    calibration: Mapping[str, Array] | None = None,
    share: Share | None = None,
    method: RangeMethod = RangeMethod.MIN_MAX,
) -> NamedFunction:
    """The function of integers that the accelerator runs: quantise, integer operators, dequantise.

    Args:
        named: of floats; or with quantise and dequantise equations, whose scales are then kept.
        calibration: inputs that are like those to come; only a function without scales needs them.
        share: is told how many samples have been measured.
        method: how the calibration chooses the ranges of values.

    Raises:
        QuantiseError: naming all that cannot be quantised.
        EvaluationError: if the calibration data are not inputs of the function.
    """
    recognised = recognise(named)
    function = recognised.function
    if not has_scales(named.function):
        if calibration is None:
            raise QuantiseError(
                f"{function.name!r} has no scales: give calibration data, some hundred typical inputs"
            )
        function = insert_quantisation(function, measure_ranges(recognised, calibration, share, method))
    return recognised.with_function(fuse_tables(fuse_pools(lower(function))))


def has_scales(function: Function) -> bool:
    """Whether a function says itself how it is quantised."""
    return any(isinstance(equation.operator, Quantise | QuantiseAffine) for equation in function.equations)
