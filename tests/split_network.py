"""ONNX files that accelerator and host share, and files that only floats can do."""

import numpy as np
import onnx
from onnx import TensorProto, helper

_RNG = np.random.default_rng(23)
WEIGHTS = {
    name: _RNG.normal(0, 0.3, shape).astype(np.float32)
    for name, shape in {"w1": (6, 3, 3, 3), "w2": (4, 6, 3, 3)}.items()
}
X = _RNG.normal(0, 1, (5, 3, 6, 5)).astype(np.float32)
TYPES = {"f": TensorProto.FLOAT, "h": TensorProto.FLOAT16, "i": TensorProto.INT64, "b": TensorProto.BOOL}


def save_nodes(path, nodes, inputs, outputs, constants=None):
    """Write a model of nodes; ports are a kind of `TYPES` and a shape by name."""
    ports = [
        [helper.make_tensor_value_info(name, TYPES[kind], shape) for name, (kind, shape) in side.items()]
        for side in (inputs, outputs)
    ]
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(nodes, "net", *ports, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def save_split(path, middle="Softmax"):
    """Two convolutions with something between that only the host has, from `x` to `y`: two programs."""
    attributes = {"axis": 1} if middle == "Softmax" else {}
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], "first", pads=[1, 1, 1, 1]),
        helper.make_node(middle, ["a"], ["s"], "middle", **attributes),
        helper.make_node("Conv", ["s", "w2"], ["y"], "second", pads=[1, 1, 1, 1]),
    ]
    save_nodes(path, nodes, {"x": ("f", ("N", 3, 6, 5))}, {"y": ("f", ("N", 4, 6, 5))}, WEIGHTS)


def save_tokens(path):
    """Token ids and a mask, batch and length symbolic, to sums of embeddings and who is there."""
    table = np.arange(40, dtype=np.float32).reshape(10, 4)
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["e"], "embed"),
        helper.make_node("Cast", ["mask"], ["m"], "weigh", to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["m", "last"], ["m3"], "widen"),
        helper.make_node("Mul", ["e", "m3"], ["kept"], "keep"),
        helper.make_node("ReduceSum", ["kept", "middle"], ["sums"], "sum", keepdims=0),
        helper.make_node("Mul", ["ids", "two"], ["twice"], "double"),
        helper.make_node("Not", ["mask"], ["absent"], "negate"),
    ]
    inputs = {"ids": ("i", ("batch", "length")), "mask": ("b", ("batch", "length"))}
    outputs = {"sums": ("f", ("batch", 4)), "twice": ("i", ("batch", "length"))}
    outputs["absent"] = ("b", ("batch", "length"))
    constants = {"table": table, "last": np.array([2]), "middle": np.array([1]), "two": np.array(2)}
    save_nodes(path, nodes, inputs, outputs, constants)
    return table
