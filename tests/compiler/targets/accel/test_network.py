"""What the accelerator takes of a function, what it calls it, and what it refuses, by name."""

from dataclasses import replace

import numpy as np
import pytest
from tests.layers import BATCH, Node, network, reshape

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.nn.clip import Clip
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.qmax_pool2d import QMaxPool2d
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.ops.quantised.window import Window
from tilewright.compiler.targets.accel.compile import compile_function
from tilewright.compiler.targets.accel.network import NetworkError
from tilewright.isa.config import PRESETS
from tilewright.numerics.requantise import pack_scale
from tilewright.runtime.model_runner import ModelRunner
from tilewright.runtime.sim_device import SimDevice

TINY = PRESETS["tiny"]
SMALLEST = replace(TINY, activation_banks=2, activation_vectors=16, accumulator_vectors=16)
CONVOLUTION = QConv2d((1, 1), (1, 1, 1, 1), (1, 1), 1, 0, 0, -128, 127)
POOL = QMaxPool2d(Window((2, 2)), -50, 60)


def of_int8(batch=BATCH, results=1):
    """A convolution and a pooling of int8, without any float."""
    rng = np.random.default_rng(1)
    b = Builder("inner")
    x = b.parameter("x", TensorType(DType.INT8, (batch, 5, 6, 4)))
    weight = rng.integers(-60, 60, (7, 5, 3, 3)).astype(np.int8)
    scale = pack_scale(np.full(7, 96000), np.full(7, 4))
    operands = [b.constant(each) for each in (weight, np.arange(7, dtype=np.int32), scale)]
    with b.label("twice"):
        one = b.emit(CONVOLUTION, x, *operands)
    with b.label("twice"):
        two = b.emit(POOL, one)
    return NamedFunction(
        b.function(two, x) if results == 2 else b.function(two), ("a",), ("b", "c")[:results]
    )


@pytest.mark.parametrize("results", [1, 2])
def test_a_function_of_int8_alone_is_compiled_and_its_bytes_are_those_of_the_interpreter(results):
    named = of_int8(results=results)
    model = compile_function(named, TINY)
    assert [(each.name, each.scale, each.zero_point) for each in model.inputs] == [("a", 1.0, 0)]
    x = np.random.default_rng(2).integers(-128, 128, (3, 5, 6, 4)).astype(np.int8)
    found = ModelRunner(model, SimDevice(TINY)).run({"a": x.astype(np.float32)}).outputs
    expected = named.run({"a": x})
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_layers_are_called_by_their_labels_and_differ():
    assert [layer.name for layer in compile_function(of_int8(), TINY).layers] == ["twice", "twice.1"]


def test_everything_that_cannot_run_is_named_at_once():
    nodes = (
        Node("q", Quantise(0.1, 0), ("x",), "xq"),
        Node("m", POOL, ("xq",), "m"),
        Node("d", Dequantise(0.1, 0), ("m",), "md"),
        Node("limit", Clip(0.0, 1.0), ("md",), "l"),
        Node("again", Quantise(0.1, 0), ("l",), "lq"),
        Node("n", POOL, ("lq",), "n"),
        Node("view", reshape(2, 6, 8), ("n",), "v"),
        Node("o", POOL, ("v",), "o"),
        Node("e", Dequantise(0.1, 0), ("o",), "y"),
    )
    with pytest.raises(NetworkError) as caught:
        compile_function(network({"x": (1, 3, 6, 10)}, nodes, ("y",)), TINY)
    for part in ("'d' (dequantise)", "'limit' (clip)", "'again' (quantise)", "'view' (reshape)"):
        assert part in str(caught.value)
