"""Functions of floats to functions of integers."""

from collections.abc import Mapping
from dataclasses import dataclass

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Function, Value
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ops.nn.quantise import QuantiseAffine
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.quantise.calibration import calibrate
from tilewright.compiler.quantise.error import QuantiseError
from tilewright.compiler.quantise.fusion import fuse_pools, fuse_tables
from tilewright.compiler.quantise.insertion import insert_quantisation
from tilewright.compiler.quantise.integer import QuantisedValue
from tilewright.compiler.quantise.lowering import lower, lower_traced
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


@dataclass(frozen=True)
class TracedIntegers:
    """A function of integers of which it is known what each value stands for.

    Members:
        named: the function, before its operators are fused: its results are the same bytes.
        stands_for: for values of the function of floats: the activation in `named`.
    """

    named: NamedFunction
    stands_for: Mapping[Value, QuantisedValue]


def traced_integers(recognised: NamedFunction, ranges: Mapping[Value, Range]) -> TracedIntegers:
    """The function of integers, with what its values stand for.

    Args:
        recognised: of floats, without scales.
        ranges: of all its activations.
    """
    function = recognised.function
    scaled = insert_quantisation(function, ranges)
    lowered, found = lower_traced(scaled)
    floats = {*function.parameters, *(value for each in function.equations for value in each.results)}
    # What is quantised keeps its name behind the pair of equations; a parameter has it before.
    stands_for = {}
    for end, integer in found.items():
        (quantised,) = (
            each.result for each in scaled.consumers[end] if isinstance(each.operator, Dequantise)
        )
        given = scaled.producers[end].operands[0]
        stands_for[given if given in function.parameters else quantised] = integer
    return TracedIntegers(
        recognised.with_function(lowered), {v: q for v, q in stands_for.items() if v in floats}
    )


def has_scales(function: Function) -> bool:
    """Whether a function says itself how it is quantised."""
    return any(isinstance(equation.operator, Quantise | QuantiseAffine) for equation in function.equations)
