"""A small ONNX file: a 1 x 1 convolution and ReLU from `x`, 3 x 4 x 4, to `y`, 6 x 4 x 4."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

_RNG = np.random.default_rng(7)
WEIGHT = _RNG.normal(0, 0.3, (6, 3, 1, 1)).astype(np.float32)
X = _RNG.normal(0, 1, (9, 3, 4, 4)).astype(np.float32)
Y = np.maximum(np.einsum("oc,nchw->nohw", WEIGHT[:, :, 0, 0], X), 0)
LAYERS = (helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Relu", ["c"], ["y"]))


def save_network(path, nodes=LAYERS, outputs=("y",)):
    """Write a network of these nodes from `x` to `outputs`, with a weight `w`."""
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", floats, ("N", 3, 4, 4))],
        [helper.make_tensor_value_info(name, floats, ("N", 6, 4, 4)) for name in outputs],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
