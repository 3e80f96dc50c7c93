"""A small network to tune: a convolution, a pooling and a convolution, with scales."""

import numpy as np
from tests.onnx_network import OnnxNetwork

SHAPE = (1, 16, 12, 12)


def three_layers() -> bytes:
    """The ONNX model; it takes `x`, float32 of `SHAPE`."""
    made, rng = OnnxNetwork({"x": SHAPE}, opset=20), np.random.default_rng(1)
    given = np.float32(0.05), np.array(3, np.int8)

    def passed(x):
        return made.add("DequantizeLinear", made.add("QuantizeLinear", x, *given), *given)

    weight = made.add(
        "DequantizeLinear", rng.integers(-9, 9, (32, 16, 3, 3)).astype(np.int8), np.float32(0.02)
    )
    x = passed(made.add("Conv", passed("x"), weight, pads=[1, 1, 1, 1]))
    x = passed(made.add("MaxPool", x, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]))
    further = made.add(
        "DequantizeLinear", rng.integers(-9, 9, (16, 32, 1, 1)).astype(np.int8), np.float32(0.02)
    )
    x = passed(made.add("Conv", x, further))
    return made.model(x).SerializeToString()
