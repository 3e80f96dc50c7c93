"""Convolutions, products, poolings and reductions as ONNX nodes."""

import string
from typing import Any

from tilewright.compiler.frontend.error import require
from tilewright.compiler.frontend.export.graph import GraphWriter, writes
from tilewright.compiler.ir.function import Equation
from tilewright.compiler.ops.nn.activation import LogSoftmax, Softmax
from tilewright.compiler.ops.nn.convolution import Convolution
from tilewright.compiler.ops.nn.dense import Dense
from tilewright.compiler.ops.nn.pool import AveragePool, MaxPool
from tilewright.compiler.ops.primitive.conv import Conv
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.ops.primitive.reduce import Reduce
from tilewright.compiler.ops.primitive.window import ReduceWindow

_REDUCTIONS = {"sum": "ReduceSum", "prod": "ReduceProd", "max": "ReduceMax", "min": "ReduceMin"}


@writes(Convolution, Conv)
def _convolution(writer: GraphWriter, equation: Equation) -> str:
    operator = equation.operator
    assert isinstance(operator, Convolution | Conv)
    return writer.node(
        "Conv",
        writer.inputs(equation),
        equation.labels,
        kernel_shape=list(equation.operands[1].type.numbers[2:]),
        strides=list(operator.strides),
        pads=list(operator.pads),
        dilations=list(operator.dilations),
        group=operator.groups,
    )


@writes(Dense)
def _dense(writer: GraphWriter, equation: Equation) -> str:
    return writer.node("Gemm", writer.inputs(equation), equation.labels, transB=1)


@writes(Dot)
def _dot(writer: GraphWriter, equation: Equation) -> str:
    """A product of matrices if it is one, else the sum over named axes."""
    operator, (a, b) = equation.operator, equation.operands
    assert isinstance(operator, Dot)
    batch = tuple(range(len(operator.batch_a)))
    leads = operator.batch_a == operator.batch_b == batch
    of_a, of_b = (tuple(range(len(batch), value.type.rank)) for value in (a, b))
    is_batched = len(of_a) == 2 and len(of_b) == 2
    is_plain = leads and (is_batched or (not batch and len(of_b) == 2 and len(of_a) > 0))
    if is_plain and operator.contract_a == of_a[-1:] and operator.contract_b == of_b[:1]:
        return writer.node("MatMul", writer.inputs(equation), equation.labels)
    return writer.node(
        "Einsum", writer.inputs(equation), equation.labels, equation=_axes(operator, a.type.rank, b.type.rank)
    )


def _axes(operator: Dot, rank_a: int, rank_b: int) -> str:
    """The product with a letter for each axis."""
    letters = iter(string.ascii_lowercase)
    a, b = ([next(letters) for _ in range(rank)] for rank in (rank_a, rank_b))
    pairs = (*zip(operator.batch_a, operator.batch_b, strict=True),
             *zip(operator.contract_a, operator.contract_b, strict=True))  # fmt: skip
    for left, right in pairs:
        b[right] = a[left]
    rest_a, rest_b = operator.rest(rank_a, rank_b)
    result = [*(a[axis] for axis in (*operator.batch_a, *rest_a)), *(b[axis] for axis in rest_b)]
    return f"{''.join(a)},{''.join(b)}->{''.join(result)}"


@writes(MaxPool, AveragePool)
def _pool(writer: GraphWriter, equation: Equation) -> str:
    operator, further = equation.operator, dict[str, Any]()
    assert isinstance(operator, MaxPool | AveragePool)
    if set(operator.dilations) != {1}:
        # Not said where it need not be: ONNX Runtime 1.32 has quantised poolings without.
        further["dilations"] = list(operator.dilations)
    if isinstance(operator, AveragePool):
        is_whole = operator.counted in (None, operator.pads)
        require(is_whole, "all padding must count, or none")
        further["count_include_pad"] = int(operator.counted is not None)
    return writer.node(
        type(operator).__name__,
        writer.inputs(equation),
        equation.labels,
        kernel_shape=list(operator.kernel),
        strides=list(operator.strides),
        pads=list(operator.pads),
        **further,
    )


@writes(ReduceWindow)
def _window(writer: GraphWriter, equation: Equation) -> str:
    operator = equation.operator
    assert isinstance(operator, ReduceWindow)
    is_pool = operator.function == "max" and len(operator.kernel) == equation.operands[0].type.rank - 2
    require(is_pool, f"there is no {operator.function} in windows")
    return writer.node(
        "MaxPool",
        writer.inputs(equation),
        equation.labels,
        kernel_shape=list(operator.kernel),
        strides=list(operator.strides),
        pads=list(operator.pads),
        dilations=list(operator.dilations),
    )


@writes(Reduce)
def _reduce(writer: GraphWriter, equation: Equation) -> str:
    operator = equation.operator
    assert isinstance(operator, Reduce)
    axes = writer.constant(list(operator.axes))
    kind = _REDUCTIONS[operator.function]
    return writer.node(kind, [*writer.inputs(equation), axes], equation.labels, keepdims=0)


@writes(Softmax, LogSoftmax)
def _softmax(writer: GraphWriter, equation: Equation) -> str:
    operator = equation.operator
    assert isinstance(operator, Softmax | LogSoftmax)
    return writer.node(type(operator).__name__, writer.inputs(equation), equation.labels, axis=operator.axis)
