"""Functions of floats to functions of integers."""

from collections.abc import Mapping

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Function, Value
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ops.nn.quantise import QuantiseAffine
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.quantise.calibration import calibrate
from tilewright.compiler.quantise.error import QuantiseError
from tilewright.compiler.quantise.fusion import fuse_pools, fuse_tables
from tilewright.compiler.quantise.insertion import insert_quantisation
from tilewright.compiler.quantise.lowering import lower
from tilewright.compiler.quantise.range_method import Choose, Range, all_seen
from tilewright.compiler.quantise.recognise import recognise
from tilewright.numerics.progress import Share


def quantise(
    named: NamedFunction,
    calibration: Mapping[str, Array] | None = None,
    share: Share | None = None,
    choose: Choose = all_seen,
) -> NamedFunction:
    """The function of integers that the accelerator runs: quantise, integer operators, dequantise.

    Args:
        named: of floats; or with quantise and dequantise equations, whose scales are then kept.
        calibration: inputs that are like those to come; only a function without scales needs them.
        share: is told how many samples have been measured.
        choose: how the calibration chooses the ranges of values.

    Raises:
        QuantiseError: naming all that cannot be quantised.
        EvaluationError: if the calibration data are not inputs of the function.
    """
    recognised = recognise(named)
    if has_scales(named.function):
        return integers(recognised)
    if calibration is None:
        raise QuantiseError(
            f"{named.function.name!r} has no scales: give calibration data, some hundred typical inputs"
        )
    return integers(recognised, calibrate(recognised, calibration, share).ranges(choose))


def integers(recognised: NamedFunction, ranges: Mapping[Value, Range] | None = None) -> NamedFunction:
    """The function of integers.

    Args:
        recognised: of floats.
        ranges: of all its activations; None if it has scales.

    Raises:
        QuantiseError: naming all that cannot be quantised.
    """
    function = recognised.function
    scaled = function if ranges is None else insert_quantisation(function, ranges)
    return recognised.with_function(fuse_tables(fuse_pools(lower(scaled))))


def has_scales(function: Function) -> bool:
    """Whether a function says itself how it is quantised."""
    return any(isinstance(equation.operator, Quantise | QuantiseAffine) for equation in function.equations)
