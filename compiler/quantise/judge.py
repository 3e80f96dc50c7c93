"""What of a function of floats could become integers, equation by equation."""

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
"""Of each first result of an equation that cannot become integers: why."""


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


def _give(r: Recognition, value: Value) -> None:
    """Takes a value as an input, if integers could stand for it."""
    tensor = value.type
    if tensor.dtype is DType.FLOAT32 and tensor.is_known and tensor.shape[:1] == (1,):
        r.values[value] = r.b.parameter(value.name, TensorType(tensor.dtype, (r.batch, *tensor.shape[1:])))
