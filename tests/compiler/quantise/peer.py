"""ONNX Runtime as the peer of integer graphs: its quantiser, and the integers it computes."""

import numpy as np
import onnx
from tests.onnx_runtime import peer_outputs

from tilewright.compiler.graph.interpreter import run


def peer_integers(path, inputs):
    """The int8 result of every quantise node of a QDQ model, as ONNX Runtime computes it."""
    model = onnx.load(path)
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            model.graph.output.append(onnx.helper.make_empty_tensor_value_info(node.output[0]))
    values = peer_outputs(model, inputs)
    return {name: _as_int8(value) for name, value in values.items() if value.dtype != np.float32}


def differences(graph, path, inputs):
    """For each integer operator, fed the peer's integers: its node, and |ours − theirs| of each element."""
    theirs = peer_integers(path, inputs)
    values = {**graph.constants, **run(graph, inputs, keep=True), **theirs}
    for node in graph.nodes:
        if node.output in theirs and node.operator.name != "quantise":
            arrays = [_as_read(graph, name, values[name]) for name in node.inputs]
            ours = node.operator.run(*arrays)
            yield node, np.abs(ours.astype(int) - theirs[node.output].reshape(ours.shape))


def _as_int8(value):
    return (value ^ np.uint8(128)).view(np.int8) if value.dtype == np.uint8 else value


def _as_read(graph, name, value):
    return value if name in graph.constants else value.reshape(len(value), *graph.types[name].shape[1:])
