"""Graphs of floats as ONNX models, for a peer to run."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tilewright.compiler.ops.add import Add
from tilewright.compiler.ops.average_pool2d import AveragePool2d
from tilewright.compiler.ops.batch_norm import BatchNorm
from tilewright.compiler.ops.clip import Clip
from tilewright.compiler.ops.conv2d import Conv2d
from tilewright.compiler.ops.dense import Dense
from tilewright.compiler.ops.flatten import Flatten
from tilewright.compiler.ops.global_average_pool import GlobalAveragePool
from tilewright.compiler.ops.identity import Identity
from tilewright.compiler.ops.max_pool2d import MaxPool2d
from tilewright.compiler.ops.relu import Relu

PLAIN = {
    Add: "Add",
    Flatten: "Flatten",
    GlobalAveragePool: "GlobalAveragePool",
    Identity: "Identity",
    Relu: "Relu",
}


def export(graph, batch="N"):
    """The model of a graph of floats."""
    constants = dict(graph.constants)
    nodes = [_node(node, constants) for node in graph.nodes]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *tensor.shape[1:]])
        for name, tensor in graph.inputs
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *graph.types[name].shape[1:]])
        for name in graph.outputs
    ]
    values = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    made = helper.make_graph(nodes, graph.name, inputs, outputs, values)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _node(node, constants):
    operator, inputs = node.operator, list(node.inputs)
    kind, attributes = PLAIN.get(type(operator), ""), {}
    if isinstance(operator, Conv2d):
        kind, attributes = (
            "Conv",
            {
                "strides": operator.strides,
                "pads": operator.pads,
                "dilations": operator.dilations,
                "group": operator.groups,
            },
        )
    elif isinstance(operator, Dense):
        kind, attributes = "Gemm", {"transB": 1}
    elif isinstance(operator, MaxPool2d | AveragePool2d):
        window = operator.window
        kind = "MaxPool" if isinstance(operator, MaxPool2d) else "AveragePool"
        attributes = {"kernel_shape": window.kernel, "strides": window.strides, "pads": window.pads}
        if isinstance(operator, AveragePool2d):
            attributes["count_include_pad"] = int(operator.count_include_pad)
    elif isinstance(operator, Clip):
        kind, bounds = "Clip", (f"{node.name}.lo", f"{node.name}.hi")
        constants.update(zip(bounds, map(np.float32, (operator.lo, operator.hi)), strict=True))
        inputs += bounds
    elif isinstance(operator, BatchNorm):
        kind, attributes = "BatchNormalization", {"epsilon": 0.0}
        channels = len(constants[inputs[1]])
        constants[f"{node.name}.mean"] = np.zeros(channels, np.float32)
        constants[f"{node.name}.variance"] = np.ones(channels, np.float32)
        inputs += [f"{node.name}.mean", f"{node.name}.variance"]
    assert kind, operator
    return helper.make_node(kind, inputs, [node.output], node.name, **attributes)
