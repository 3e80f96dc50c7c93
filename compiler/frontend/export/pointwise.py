"""Functions of single elements, and quantisation, as ONNX nodes."""

import math

import numpy as np
from onnx import helper

from tilewright.compiler.dtype import DType
from tilewright.compiler.frontend.error import UnsupportedError, require
from tilewright.compiler.frontend.export.graph import RULES, GraphWriter, writes
from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.function import Equation, Function
from tilewright.compiler.ops.nn.clip import Clip
from tilewright.compiler.ops.nn.pointwise import Pointwise
from tilewright.compiler.ops.nn.quantise import DequantiseAffine, QuantiseAffine
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.cast import Cast
from tilewright.compiler.ops.primitive.map import Map

_KINDS = {
    "neg": "Neg", "abs": "Abs", "sign": "Sign", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "sin": "Sin",
    "cos": "Cos", "tan": "Tan", "asin": "Asin", "acos": "Acos", "atan": "Atan", "sinh": "Sinh",
    "cosh": "Cosh", "tanh": "Tanh", "erf": "Erf", "floor": "Floor", "ceil": "Ceil", "round": "Round",
    "isnan": "IsNaN", "isinf": "IsInf", "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow",
    "max": "Max", "min": "Min", "equal": "Equal", "less": "Less", "select": "Where",
}  # fmt: skip
"""The nodes of scalar functions, whatever their elements are."""
_LOGICAL = {"not": "Not", "and": "And", "or": "Or", "xor": "Xor"}
_BITWISE = {"not": "BitwiseNot", "and": "BitwiseAnd", "or": "BitwiseOr", "xor": "BitwiseXor"}


@writes(Map)
def _map(writer: GraphWriter, equation: Equation) -> str:
    assert isinstance(equation.operator, Map)
    function, dtype = equation.operator.function, equation.operands[-1].type.dtype
    own = {**_KINDS, **(_LOGICAL if dtype is DType.BOOL else _BITWISE)}
    if function in ("mod", "fmod"):
        is_c = int(function == "fmod")
        require(bool(is_c) or not dtype.is_float, "there is no remainder of floats that is never negative")
        return writer.node("Mod", writer.inputs(equation), equation.labels, fmod=is_c)
    require(function in own, f"there is no {function}")
    return writer.node(own[function], writer.inputs(equation), equation.labels)


@writes(Cast)
def _cast(writer: GraphWriter, equation: Equation) -> str:
    assert isinstance(equation.operator, Cast)
    before, after = equation.operands[0].type.dtype, equation.operator.dtype
    # Floats outside of a narrow type's range are anything in ONNX.
    require(
        not before.is_float or after.is_float or after.size_bytes > 2, f"{before} must not become {after}"
    )
    kind = helper.np_dtype_to_tensor_dtype(after.numpy)
    return writer.node("Cast", writer.inputs(equation), equation.labels, to=kind)


@writes(Clip)
def _clip(writer: GraphWriter, equation: Equation) -> str:
    operator, (x,) = equation.operator, writer.inputs(equation)
    assert isinstance(operator, Clip)
    if (operator.low, operator.high) == (0.0, math.inf):
        return writer.node("Relu", [x], equation.labels)
    ends = ["" if math.isinf(end) else writer.constant(float(end)) for end in (operator.low, operator.high)]
    return writer.node("Clip", [x, *ends], equation.labels)


@writes(Pointwise)
def _pointwise(writer: GraphWriter, equation: Equation) -> str:
    assert isinstance(equation.operator, Pointwise)
    return _body(writer, equation.operator.body, writer.inputs(equation), equation.labels)


def _body(writer: GraphWriter, body: Function, given: list[str], labels: tuple[str, ...]) -> str:
    """The nodes of a function of single elements, on tensors of any shape: numbers broadcast."""
    inner = GraphWriter(
        body, dict(zip(body.parameters, given, strict=True)), writer.taken, writer.nodes, writer.labels,
        writer.tensors,
    )  # fmt: skip
    for each in body.equations:
        inner.names[each.result] = _of_elements(inner, each, each.labels or labels)
    (result,) = body.results
    return inner.names[result]


def _of_elements(writer: GraphWriter, equation: Equation, labels: tuple[str, ...]) -> str:
    operator, labelled = (
        equation.operator,
        Equation(equation.results, equation.operator, equation.operands, labels),
    )
    if isinstance(operator, Broadcast):
        return writer.names[equation.operands[0]]
    if type(operator) in RULES:
        return RULES[type(operator)](writer, labelled)
    if isinstance(operator, Composite):
        expanded = operator.expanded(*(value.type for value in equation.operands))
        return _body(writer, expanded, writer.inputs(equation), labels)
    raise UnsupportedError(f"there is no {operator.name} of single elements")


@writes(QuantiseAffine, DequantiseAffine)
def _affine(writer: GraphWriter, equation: Equation) -> str:
    kind = "QuantizeLinear" if isinstance(equation.operator, QuantiseAffine) else "DequantizeLinear"
    x, scale, zero = equation.operands
    array, zeros = writer.literal(scale), writer.literal(zero)
    if array is None or zeros is None:
        raise UnsupportedError("its scale and its zero point must be constants")
    axes = [axis for axis, size in enumerate(array.shape) if size > 1]
    require(len(axes) < 2, f"its scales must be along one axis, not {array.shape}")
    if not axes:
        given = [np.asarray(each.reshape(-1)[0], each.dtype) for each in (array, zeros)]
        return writer.node(kind, [writer.names[x], *map(writer.own_constant, given)], equation.labels)
    axis = axes[0] + x.type.rank - array.ndim
    given = [array.reshape(-1), np.broadcast_to(zeros.reshape(-1), array.reshape(-1).shape)]
    return writer.node(kind, [writer.names[x], *map(writer.own_constant, given)], equation.labels, axis=axis)
