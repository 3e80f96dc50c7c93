"""Operators on elements, with broadcasting."""

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.frontend.error import require
from tilewright.compiler.frontend.onnx.node import Node, Result, converter, normal_axis
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn import activation as a

_UNARY: dict[str, Callable[..., Value]] = {
    "Neg": e.neg, "Abs": e.abs, "Sign": e.sign, "Exp": e.exp, "Log": e.log, "Sqrt": e.sqrt, "Sin": e.sin,
    "Cos": e.cos, "Tan": e.tan, "Asin": e.asin, "Acos": e.acos, "Atan": e.atan, "Sinh": e.sinh,
    "Cosh": e.cosh, "Tanh": e.tanh, "Erf": e.erf, "Floor": e.floor, "Ceil": e.ceil, "Round": e.round,
    "IsNaN": e.isnan, "Not": e.logical_not, "BitwiseNot": e.logical_not, "Reciprocal": e.reciprocal,
    "Sigmoid": e.sigmoid, "Relu": e.relu, "Softsign": a.softsign, "Softplus": a.softplus,
    "HardSwish": a.hard_swish, "Mish": a.mish, "Asinh": a.asinh, "Acosh": a.acosh, "Atanh": a.atanh,
}  # fmt: skip
_BINARY: dict[str, Callable[..., Value]] = {
    "Add": e.add, "Sub": e.sub, "Mul": e.mul, "Div": e.div, "And": e.logical_and, "Or": e.logical_or,
    "Xor": e.logical_xor, "BitwiseAnd": e.logical_and, "BitwiseOr": e.logical_or,
    "BitwiseXor": e.logical_xor, "Equal": e.equal, "Less": e.less, "Greater": e.greater,
    "LessOrEqual": e.less_equal, "GreaterOrEqual": e.greater_equal,
}  # fmt: skip
_FOLDS: dict[str, Callable[..., Value]] = {"Max": e.maximum, "Min": e.minimum, "Sum": e.add}


def _unary(function: Callable[..., Value]) -> Callable[[Node], Result]:
    return lambda node: function(node.b, node.x(0))


def _binary(function: Callable[..., Value]) -> Callable[[Node], Result]:
    def convert(node: Node) -> Result:
        x, y = node.x(0), node.x(1)
        same = x.type.dtype is y.type.dtype
        require(same, f"must have operands of one element type, not {x.type.dtype} and {y.type.dtype}")
        return function(node.b, x, y)

    return convert


def _fold(function: Callable[..., Value]) -> Callable[[Node], Result]:
    return lambda node: reduce(lambda x, y: function(node.b, x, y), node.all())


for _name, _function in _UNARY.items():
    converter(_name)(_unary(_function))
for _name, _function in _BINARY.items():
    converter(_name)(_binary(_function))
for _name, _function in _FOLDS.items():
    converter(_name)(_fold(_function))


@converter("Mean")
def _mean(node: Node) -> Result:
    total = reduce(lambda x, y: e.add(node.b, x, y), node.all())
    return e.div(node.b, total, float(node.count))


@converter("Pow")
def _pow(node: Node) -> Result:
    x, y = node.x(0), node.x(1)
    if y.type.dtype is x.type.dtype:
        return e.pow(node.b, x, y)
    # The result has the base's type; an exponent of another is taken as it is, so both are widened.
    wide = DType.FLOAT64 if x.type.dtype.is_integer else x.type.dtype
    return e.cast(node.b, e.pow(node.b, e.cast(node.b, x, wide), e.cast(node.b, y, wide)), x.type.dtype)


@converter("Mod")
def _mod(node: Node) -> Result:
    function = e.fmod if node.integer("fmod", 0) else e.mod
    return function(node.b, node.x(0), node.x(1))


@converter("BitShift")
def _bit_shift(node: Node) -> Result:
    left = node.choice("direction", "", ["LEFT", "RIGHT"]) == "LEFT"
    return (e.shift_left if left else e.shift_right)(node.b, node.x(0), node.x(1))


@converter("IsInf")
def _is_inf(node: Node) -> Result:
    b, x = node.b, node.x(0)
    infinite = e.isinf(b, x)
    if not node.integer("detect_positive", 1):
        infinite = e.logical_and(b, infinite, e.less(b, x, 0.0))
    if not node.integer("detect_negative", 1):
        infinite = e.logical_and(b, infinite, e.greater(b, x, 0.0))
    return infinite


@converter("Where")
def _where(node: Node) -> Result:
    return e.select(node.b, node.x(0), node.x(1), node.x(2))


@converter("Clip")
def _clip(node: Node) -> Result:
    return a.clip(node.b, node.x(0), node.number("min", -np.inf), node.number("max", np.inf))


@converter("Clip", since=11)
def _clip_by_operands(node: Node) -> Result:
    x = node.x(0)
    for index, function in ((1, e.maximum), (2, e.minimum)):
        if node.has(index):
            bound = node.x(index)
            single = all(size == 1 for size in bound.type.shape)
            require(single, f"a bound must be one number, not of shape {bound.type.shape}")
            x = function(node.b, x, e.reshape(node.b, bound, ()))
    return x


@converter("Cast")
def _cast(node: Node) -> Result:
    node.string("round_mode", "up")
    return e.cast(node.b, node.x(0), node.dtype("to"))


@converter("CastLike")
def _cast_like(node: Node) -> Result:
    return e.cast(node.b, node.x(0), node.type(1).dtype)


@converter("Identity", "Dropout")
def _identity(node: Node) -> Result:
    if node.operator == "Identity":
        return node.item(0)
    return _dropout(node)


@converter("Dropout", since=12)
def _dropout_by_operands(node: Node) -> Result:
    if node.has(2) and bool(node.array(2)) and not (node.has(1) and float(node.array(1)) == 0.0):
        require(False, "training_mode must be false: random results have no meaning here")
    return _dropout(node)


def _dropout(node: Node) -> Result:
    if not node.wants(1):
        return node.x(0)
    return node.x(0), e.full(node.b, True, DType.BOOL, node.type(0).shape)


def _scaled(function: Callable[..., Value], *attributes: tuple[str, float]) -> Callable[[Node], Result]:
    """A converter of a function with float attributes."""
    return lambda node: function(node.b, node.x(0), *(node.number(name, value) for name, value in attributes))


_ACTIVATIONS: dict[str, tuple[Any, ...]] = {
    "LeakyRelu": (a.leaky_relu, ("alpha", 0.01)),
    "Elu": (a.elu, ("alpha", 1.0)),
    "Selu": (a.selu, ("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875)),
    "Celu": (a.celu, ("alpha", 1.0)),
    "HardSigmoid": (a.hard_sigmoid, ("alpha", 0.2), ("beta", 0.5)),
    "ThresholdedRelu": (a.thresholded_relu, ("alpha", 1.0)),
    "Shrink": (a.shrink, ("bias", 0.0), ("lambd", 0.5)),
    "Swish": (a.swish, ("alpha", 1.0)),
}
for _name, (_function, *_attributes) in _ACTIVATIONS.items():
    converter(_name)(_scaled(_function, *_attributes))


@converter("Gelu")
def _gelu(node: Node) -> Result:
    tanh = node.choice("approximate", "none", ["none", "tanh"]) == "tanh"
    return a.gelu(node.b, node.x(0), tanh)


@converter("PRelu")
def _prelu(node: Node) -> Result:
    b, x = node.b, node.x(0)
    return e.select(b, e.less(b, x, 0), e.mul(b, x, node.x(1)), x)


@converter("Softmax", "LogSoftmax", "Hardmax")
def _softmax_flat(node: Node) -> Result:
    """Before opset 13: over all axes from `axis` on."""
    b, x = node.b, node.x(0)
    axis = normal_axis(node.integer("axis", 1), x.type.rank) if x.type.rank else 0
    rows: Any = 1
    columns: Any = 1
    for place, size in enumerate(x.type.shape):
        rows, columns = (rows * size, columns) if place < axis else (rows, columns * size)
    flat = _over(b, node.operator, e.reshape(b, x, (rows, columns)), 1)
    return e.reshape(b, flat, x.type.shape)


@converter("Softmax", "LogSoftmax", "Hardmax", since=13)
def _softmax(node: Node) -> Result:
    return _over(node.b, node.operator, node.x(0), node.axis("axis", node.rank(0), -1))


def _over(b: Builder, operator: str, x: Value, axis: int) -> Value:
    functions = {"Softmax": a.softmax, "LogSoftmax": a.log_softmax, "Hardmax": a.hardmax}
    return functions[operator](b, x, axis)
