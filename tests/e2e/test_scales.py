"""Models with scales of any kind, drawn: one layer, and what ONNX Runtime makes of it but for one step."""

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper
from tests.onnx_network import OnnxNetwork, answers, check_devices, integers
from tests.onnx_runtime import peer_outputs

SHAPE = (1, 5, 4, 3)
KINDS = ("Conv", "depthwise", "Gemm", "Add", "MaxPool", "AveragePool", "Relu", "Clip", "nothing")


def quantised(rng, network, name):
    """A quantisation of any scale, and what dequantises it: by its parameters or by others."""
    scale, unsigned = rng.uniform(0.01, 0.04), rng.random() < 0.5
    dtype = np.uint8 if unsigned else np.int8
    if rng.random() < 0.3:
        kind = TensorProto.UINT8 if unsigned else TensorProto.INT8
        own = (scale,)
        result = network.add("QuantizeLinear", name, scale, output_dtype=kind)
    else:
        own = (scale, dtype(rng.integers(-20, 20) + 128 * unsigned))
        result = network.add("QuantizeLinear", name, *own)

    def dequantised():
        other = (rng.uniform(0.01, 0.04), dtype(rng.integers(-20, 20) + 128 * unsigned))
        return network.add("DequantizeLinear", result, *(own if rng.random() < 0.5 else other))

    return dequantised


def layer(rng, network, kind, a, b):
    """An operator on dequantised values."""
    if kind in ("Conv", "depthwise"):
        weight = rng.integers(-128, 128, (5, 5 if kind == "Conv" else 1, 2, 2)).astype(np.int8)
        real = network.add("DequantizeLinear", weight, 0.004, np.int8(0))
        return network.add("Conv", a, real, group=1 if kind == "Conv" else 5, pads=[1, 0, 0, 1])
    if kind == "Gemm":
        # −128 times a negative number is no int8: such weights are rounded anew.
        weight = rng.integers(-127, 128, (60, 4)).astype(np.int8)
        real = network.add("DequantizeLinear", weight, 0.001, np.int8(0))
        alpha = float(rng.choice([-1.3, -0.5, 0.0, 0.7, 1.0]))
        return network.add("Gemm", network.add("Flatten", a), real, rng.normal(0, 0.5, 4), alpha=alpha)
    further = {"Add": [b], "Clip": [rng.uniform(-2, 0.5), rng.uniform(0.5, 2)]}.get(kind, [])
    attributes = {"kernel_shape": [2, 2]} if kind.endswith("Pool") else {}
    return a if kind == "nothing" else network.add(kind, a, *further, **attributes)


def drawn(seed):
    """A model and its inputs."""
    rng = np.random.default_rng((9, seed))
    network = OnnxNetwork({"x": SHAPE})
    way = quantised(rng, network, "x")
    result = layer(rng, network, KINDS[seed % len(KINDS)], way(), way())
    end = quantised(rng, network, result)
    return network.model(end(), end()), {"x": rng.normal(0, 1, (6, *SHAPE[1:])).astype(np.float32)}


def scales(model):
    """Of the outputs, by name."""
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    return {node.output[0]: constants[node.input[1]] for node in model.graph.node if "Linear" in node.op_type}


@pytest.mark.parametrize("seed", range(10 * len(KINDS)))
def test_a_layer_between_any_scales_is_the_peers(seed):
    model, inputs = drawn(seed)
    found = answers(integers(model), inputs, "interpreter")
    for name, value in peer_outputs(model, inputs, fused=False).items():
        step = float(scales(model)[name])
        difference = np.rint(np.abs(found[name] - value) / step)
        assert difference.max() <= 1, (name, KINDS[seed % len(KINDS)])
        assert (difference > 0).mean() <= 0.05


@pytest.mark.parametrize("seed", range(len(KINDS)))
def test_devices_agree_between_any_scales(seed):
    model, inputs = drawn(seed)
    check_devices(integers(model), inputs)
