"""Judges which equations of a function of floats could become integers."""

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.quantise.constant import Constants
from tilewright.compiler.quantise.error import GroupError
from tilewright.compiler.quantise.recognise import BATCH, recognise_equation
from tilewright.compiler.quantise.recognition import Recognition

Verdicts = dict[Value, str]
"""The reason, by first result of each equation that cannot become integers."""


def judge(function: Function, transposes: bool = True) -> Verdicts:
    """Why equations cannot be computed in integers, each judged as if what it reads were given.

    Args:
        function: all sizes are numbers, and first axes of activations are a batch of 1.
        transposes: whether the machine can transpose what a product of two activations reads.
    """
    batch = Size.of(BATCH)
    constants = Constants(function)
    r = Recognition(function, batch, Builder(function.name), constants, transposes=transposes)
    for value in function.parameters:
        _give(r, value)
    verdicts: Verdicts = {}
    for equation in function.equations:
        if not r.is_moving(equation.results[0]):
            continue
        reason = _reason(r, equation)
        if reason is not None and (moved := _read_in_order(r, equation)):
            # Products are worth more than what moves their operands.
            text = f"who multiplies it, {equation.label!r}, reads it in another order"
            verdicts |= {r.source.producers[value].results[0]: text for value in moved}
            reason = None
        if reason is not None:
            verdicts[equation.results[0]] = reason
            for value in equation.results:
                _give(r, value)
    return verdicts


def _reason(r: Recognition, equation: Equation) -> str | None:
    root = r.pointwise.roots.get(equation.results[0])
    read = [*equation.operands, *([] if root is None else [root])]
    unknown = [value for value in read if not r.is_known(value)]
    if unknown:
        return f"{unknown[0].type} must be float32 with a batch of 1 in front"
    try:
        recognise_equation(r, equation)
    except (GroupError, IrError) as error:
        return str(error)
    return None


def _read_in_order(r: Recognition, equation: Equation) -> tuple[Value, ...]:
    """Operands of a product that the host must put in order, if that is all; none if it is not."""
    if not _multiplies(equation):
        return ()
    makers = {value: r.source.producers.get(value) for value in equation.operands if value in r.values}
    moving = [value for value, made in makers.items() if made is not None and not _multiplies(made)]
    for chosen in (moving[1:], moving[:1], moving):
        before = {value: r.values[value] for value in chosen}
        for value in chosen:
            _give(r, value)
        if chosen and _reason(r, equation) is None:
            return tuple(chosen)
        r.values.update(before)
    return ()


def _multiplies(equation: Equation) -> bool:
    return equation.operator.macs(*(value.type for value in equation.operands)) != 0


def _give(r: Recognition, value: Value) -> None:
    """Takes a value as an input, if it could be quantised."""
    tensor = value.type
    if tensor.dtype is DType.FLOAT32 and tensor.is_known and tensor.shape[:1] == (1,):
        r.values[value] = r.b.parameter(value.name, TensorType(tensor.dtype, (r.batch, *tensor.shape[1:])))
