"""Networks for training by integers: of most operators of the accelerator, some with the host between."""

import numpy as np
import onnx
from tests.onnx_network import OnnxNetwork

CONFIG = "tiny"
SHAPE = (3, 8, 8)
CLASSES = 4


def inputs(count, seed=5):
    """Typical inputs: float32 [count, 3, 8, 8]."""
    return np.random.default_rng(seed).normal(0, 1, (count, *SHAPE)).astype(np.float32)


def _weights(rng, *shape):
    return rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)


def layers(seed=3):
    """A residual, a depthwise layer, a table, a concatenation, poolings and a dense layer."""
    rng, made = np.random.default_rng(seed), OnnxNetwork({"x": (1, *SHAPE)})
    x = made.add(
        "Relu", made.add("Conv", "x", _weights(rng, 8, 3, 3, 3), rng.normal(0, 0.1, 8), pads=[1] * 4)
    )
    y = made.add("Conv", x, _weights(rng, 8, 1, 3, 3), rng.normal(0, 0.1, 8), pads=[1] * 4, group=8)
    y = made.add("Sigmoid", y)
    y = made.add("Conv", y, _weights(rng, 8, 8, 1, 1), rng.normal(0, 0.1, 8))
    x = made.add("MaxPool", made.add("Add", x, y), kernel_shape=[2, 2], strides=[2, 2])
    y = made.add("Clip", made.add("Conv", x, _weights(rng, 8, 8, 1, 1)), 0.0, 6.0)
    x = made.add("Concat", x, y, axis=1)
    x = made.add("Flatten", made.add("GlobalAveragePool", x))
    return made.model(made.add("Gemm", x, _weights(rng, CLASSES, 16), rng.normal(0, 0.1, CLASSES), transB=1))


def with_host(between="Softmax", behind="Softmax", batch="N"):
    """Two layers with something on the host between them, and behind."""
    rng, made = np.random.default_rng(4), OnnxNetwork({"x": (1, *SHAPE)})
    x = made.add("Conv", "x", _weights(rng, 6, 3, 3, 3), rng.normal(0, 0.1, 6), pads=[1] * 4)
    x = made.add(between, x, **({"axis": 1} if between == "Softmax" else {})) if between else x
    x = made.add("Conv", x, _weights(rng, CLASSES, 6, 8, 8))
    x = made.add("Flatten", x)
    model = made.model(made.add(behind, x, axis=1) if behind else x)
    if batch == "N":
        return model
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    del model.graph.value_info[:]
    for each in model.graph.output:
        each.type.tensor_type.ClearField("shape")
    return onnx.shape_inference.infer_shapes(model)


TOKENS = (6, 8)


def attention():
    """A head of attention and a layer behind it, over six tokens of eight features; softmax is the host's."""
    rng, made = np.random.default_rng(6), OnnxNetwork({"x": (1, *TOKENS)})
    q, k, v = (made.add("MatMul", "x", rng.normal(0, 0.4, (8, 8))) for _ in range(3))
    scores = made.add("Mul", made.add("MatMul", q, made.add("Transpose", k, perm=[0, 2, 1])), 0.35)
    heads = made.add("MatMul", made.add("Softmax", scores, axis=-1), v)
    return made.model(
        made.add("Add", made.add("MatMul", heads, rng.normal(0, 0.4, (8, 4))), rng.normal(0, 1, 4))
    )


def tokens(count):
    """Typical inputs of `attention`."""
    return np.random.default_rng(7).normal(0, 1, (count, *TOKENS)).astype(np.float32)
