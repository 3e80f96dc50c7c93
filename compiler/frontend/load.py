"""ONNX files to graphs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from tilewright.compiler.dtype import DType
from tilewright.compiler.frontend import linear, pointwise, pooling, quantisation, shape
from tilewright.compiler.frontend.draft import Draft
from tilewright.compiler.frontend.error import FrontendError, UnsupportedError
from tilewright.compiler.frontend.fold import fold
from tilewright.compiler.frontend.model import opset, read_model
from tilewright.compiler.frontend.node import OnnxNode
from tilewright.compiler.graph.graph import Graph, verify
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.operator import OperatorError

Converter = Callable[[OnnxNode, Draft], None]

CONVERTERS: dict[str, Converter] = {
    **linear.CONVERTERS,
    **pooling.CONVERTERS,
    **pointwise.CONVERTERS,
    **shape.CONVERTERS,
    **quantisation.CONVERTERS,
}
"""By operator of the model file."""


def load_onnx(path: str | Path) -> Graph:
    """The graph of a model: of floats, with quantise and dequantise nodes where the model has them.

    A symbolic batch becomes 1; results that depend on shapes alone are computed.

    Raises:
        FrontendError: if the file cannot be read or is corrupt, a size other than the batch is unknown, or
            anything in it is not supported: all of that at once, with the names of the nodes.
    """
    path = Path(path)
    model = read_model(path)
    draft = Draft(opset(model))
    for tensor in model.graph.initializer:
        draft.fixed[tensor.name] = onnx.numpy_helper.to_array(tensor)
    inputs = _inputs(path, model.graph, draft)
    draft.types.update(inputs)
    _convert_nodes(path, _needed(model.graph), draft)
    outputs = tuple(value.name for value in model.graph.output)
    _check_outputs(path, outputs, draft)
    graph = Graph(model.graph.name or path.stem, inputs, tuple(draft.nodes), outputs, _used(draft))
    verify(graph)
    return graph


def _inputs(path: Path, graph: Any, draft: Draft) -> tuple[tuple[str, TensorType], ...]:
    given = [value for value in graph.input if value.name not in draft.fixed]
    unknown = [line for value in given for line in _unknown_sizes(value)]
    if unknown:
        raise FrontendError(
            f"{path}: all sizes of an input but the batch must be known, not {', '.join(unknown)}: "
            "fix them (onnxruntime.tools.make_dynamic_shape_fixed) or export with fixed sizes"
        )
    return tuple((value.name, _input_type(path, value)) for value in given)


def _check_outputs(path: Path, outputs: tuple[str, ...], draft: Draft) -> None:
    unsigned = ", ".join(repr(name) for name in outputs if name in draft.unsigned)
    if unsigned:
        raise FrontendError(
            f"{path}: outputs must be float32 or int8, and {unsigned} is uint8: end with DequantizeLinear"
        )


def _unknown_sizes(value: Any) -> list[str]:
    sizes = list(value.type.tensor_type.shape.dim)
    return [
        f"axis {axis} of {value.name!r} ({size.dim_param or 'no size'})"
        for axis, size in enumerate(sizes)
        if axis and size.dim_value < 1
    ]


def _input_type(path: Path, value: Any) -> TensorType:
    tensor = value.type.tensor_type
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
        raise FrontendError(f"{path}: input {value.name!r} must be float32, not {kind}")
    sizes = [size.dim_value for size in tensor.shape.dim]
    if not sizes or sizes[0] > 1:
        raise FrontendError(
            f"{path}: input {value.name!r} must have a batch in front, symbolic or 1, not shape {sizes}"
        )
    return TensorType((1, *sizes[1:]), DType.FLOAT32)


def _needed(graph: Any) -> list[OnnxNode]:
    """The nodes that an output depends on, in their order."""
    wanted = {value.name for value in graph.output}
    found = []
    for proto in reversed(graph.node):
        if wanted.intersection(proto.output):
            wanted.update(proto.input)
            found.append(OnnxNode.of(proto))
    return found[::-1]


def _convert_nodes(path: Path, nodes: list[OnnxNode], draft: Draft) -> None:
    problems: dict[tuple[str, str], list[str]] = {}
    unknown: set[str] = set()
    for node in nodes:
        reason = _convert(node, draft, unknown)
        if reason is not None:
            unknown.update(node.outputs)
        if reason:
            problems.setdefault((node.operator, reason), []).append(repr(node.name))
    if problems:
        lines = [
            f"{operator} {', '.join(names)} ({reason})" for (operator, reason), names in problems.items()
        ]
        count = sum(map(len, problems.values()))
        raise FrontendError(f"{path} has {count} nodes that are not supported: {'; '.join(lines)}")


def _convert(node: OnnxNode, draft: Draft, unknown: set[str]) -> str | None:
    """Why the node cannot be converted: "" if only because another before it cannot; None if it was."""
    depends = not unknown.isdisjoint(node.inputs)
    try:
        # A division by zero shows as an infinite weight, which is refused by name.
        with np.errstate(all="ignore"):
            if not depends and fold(node, draft):
                return None
            if node.operator not in CONVERTERS:
                return "there is no such operator here"
            if depends:
                return ""
            CONVERTERS[node.operator](node, draft)
    except (UnsupportedError, OperatorError) as error:
        return str(error)
    return None


def _used(draft: Draft) -> dict[str, Any]:
    read = {name for node in draft.nodes for name in node.inputs}
    return {name: value for name, value in draft.constants.items() if name in read}
