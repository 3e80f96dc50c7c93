"""Convolutions and products of matrices."""

import numpy as np

from tilewright.compiler.frontend.draft import Draft, Quantised
from tilewright.compiler.frontend.error import require
from tilewright.compiler.frontend.node import OnnxNode
from tilewright.compiler.frontend.window import picture, read_pads
from tilewright.compiler.ops.conv2d import Conv2d
from tilewright.compiler.ops.dense import Dense


def convert_conv(node: OnnxNode, draft: Draft) -> None:
    """Conv: pictures, whole or depthwise."""
    x = draft.activation(node.input(0))
    size = picture(x)
    weight = draft.constant(node.input(1))
    require(weight.ndim == 4, f"its weights must have 4 axes, for pictures, not {weight.ndim}")
    kernel = (weight.shape[2], weight.shape[3])
    strides, dilations = node.pair("strides"), node.pair("dilations")
    pads = read_pads(node, size, kernel, strides, dilations)
    operator = Conv2d(strides, pads, dilations, node.integer("group", 1))
    inputs = (node.input(0), _weight(node, draft, node.input(1)), _bias(node, draft, len(weight)))
    draft.emit(node, operator, inputs)


def convert_gemm(node: OnnxNode, draft: Draft) -> None:
    """Gemm: activations times constant weights."""
    node.expect_integer("transA", 0, 0)
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    _expect_matrix(draft, node)
    transpose = not node.integer("transB", 0)
    weight = _weight(node, draft, node.input(1), transpose, alpha)
    outputs = draft.constant(node.input(1)).shape[1 if transpose else 0]
    bias = _bias(node, draft, outputs, beta)
    draft.emit(node, Dense(), (node.input(0), weight, bias))


def convert_matmul(node: OnnxNode, draft: Draft) -> None:
    """MatMul: activations times constant weights."""
    _expect_matrix(draft, node)
    weight = _weight(node, draft, node.input(1), transpose=True)
    bias = _bias(node, draft, draft.constant(node.input(1)).shape[1])
    draft.emit(node, Dense(), (node.input(0), weight, bias))


def _expect_matrix(draft: Draft, node: OnnxNode) -> None:
    x, weight = draft.activation(node.input(0)), draft.constant(node.input(1))
    require(len(x.shape) == 2, f"its input must have 2 axes, batch and features, not {x}")
    require(weight.ndim == 2, f"its weights must have 2 axes, not shape {weight.shape}")


def _weight(node: OnnxNode, draft: Draft, name: str, transpose: bool = False, factor: float = 1.0) -> str:
    """The weights as a value of the graph, output channels first."""
    quantised = draft.quantised_constant(name)
    # Without weights, or with −128 to be negated, integers of another scale say it as well.
    is_real = quantised is None or factor == 0 or (factor < 0 and bool((quantised.value == -128).any()))
    if quantised is None or is_real:
        value = draft.constant(name)
        value = value.T if transpose else value
        return draft.add_constant(name, value if factor == 1 else value * np.float32(factor))
    if transpose:
        quantised = quantised.transposed()
    # Scales are positive: the sign goes to the weights.
    value = -quantised.value if factor < 0 else quantised.value
    scale = (quantised.scale * np.float32(abs(factor))).astype(np.float32)
    return draft.add_quantised(node, name, Quantised(value, scale, quantised.axis))


def _bias(node: OnnxNode, draft: Draft, outputs: int, factor: float = 1.0) -> str:
    """The bias as a value of the graph, one for each output; zeros if there is none."""
    name = node.input(2)
    if not name:
        return draft.add_constant(f"{node.name}.bias", np.zeros(outputs, np.float32))
    quantised = draft.quantised_constant(name)
    if quantised and quantised.value.shape == (outputs,) and factor == 1:
        return draft.add_quantised(node, name, quantised)
    value = draft.constant(name)
    good = value.size in (1, outputs) and value.shape[-1:] in ((), (1,), (outputs,))
    require(good, f"its bias must be one number for each of {outputs} outputs, not shape {value.shape}")
    values = np.broadcast_to(value.reshape(-1), (outputs,))
    return draft.add_constant(name, values if factor == 1 else values * np.float32(factor))


CONVERTERS = {"Conv": convert_conv, "Gemm": convert_gemm, "MatMul": convert_matmul}
