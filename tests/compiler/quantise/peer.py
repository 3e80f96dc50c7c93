"""ONNX Runtime as the peer of functions of integers: its quantiser, and the integers it computes."""

import numpy as np
import onnx
from tests.onnx_runtime import peer_outputs

from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ops.quantised.operator import QuantisedOperator
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.quantise import Quantise

VIEWS = ("Reshape", "Flatten")


def peer_integers(path, inputs):
    """The int8 result of every quantise node of a QDQ model, as ONNX Runtime computes it."""
    model = onnx.load(path)
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            model.graph.output.append(onnx.helper.make_empty_tensor_value_info(node.output[0]))
    values = peer_outputs(model, inputs)
    return {name: _as_int8(value) for name, value in values.items() if value.dtype != np.float32}


def values_of(named, inputs):
    """All values of a function on these inputs."""
    found = dict(zip(named.function.parameters, (inputs[name] for name in named.inputs), strict=True))
    arrays = list(found.values())
    run(named.function, *arrays, observe=lambda equation, value, array: found.update({value: array}))
    return found


def differences(named, path, inputs):
    """For each layer, fed the peer's integers: its equation, and |ours − theirs| of each element."""
    theirs = peer_integers(path, inputs)
    names = peer_names(named, onnx.load(path))
    ours = values_of(named, inputs)
    values = {value: theirs.get(names.get(value), array) for value, array in ours.items()}
    for equation in named.function.equations:
        name = names.get(equation.results[0])
        if isinstance(equation.operator, QuantisedOperator) and name in theirs:
            arrays = [_as_read(ours[value], values[value]) for value in equation.operands]
            (result,) = equation.operator.run(*arrays)
            yield equation, np.abs(result.astype(int) - theirs[name].reshape(result.shape))


def peer_names(named, model):
    """The tensor of a QDQ model that each int8 value is: that of the quantise node behind its layer."""
    readers = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    results = {node.name or node.output[0]: node.output[0] for node in model.graph.node}
    found = {}
    for equation in named.function.equations:
        if isinstance(equation.operator, Quantise):
            found[equation.result] = _end(readers, named.inputs[0], False)
        elif isinstance(equation.operator, QuantisedOperator):
            pools = isinstance(equation.operator, QConv2d) and equation.operator.pool is not None
            found[equation.result] = _end(readers, results[equation.labels[0]], pools)
    return found


def _end(readers, name, pools):
    """The result of the first quantise node behind a value; behind the first pooling, if one was fused."""
    while True:
        quantised = [each for each in readers[name] if each.op_type == "QuantizeLinear"]
        if quantised and not pools:
            return quantised[0].output[0]
        (node,) = readers[name]
        pools = pools and node.op_type != "MaxPool"
        name = node.output[0]


def _as_int8(value):
    return (value ^ np.uint8(128)).view(np.int8) if value.dtype == np.uint8 else value


def _as_read(ours, theirs):
    return theirs.reshape(ours.shape)
