"""Poolings stay behind their convolution only where the machine can run both at once."""

import numpy as np
import pytest
from tests.layers import Node, network

from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.inline import inline
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.prune import pruned
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.qlookup import QLookup
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.ops.quantised.window import Window
from tilewright.compiler.targets.accel.legalise import legalise
from tilewright.isa.config import PRESETS
from tilewright.numerics.requantise import pack_scale

TINY = PRESETS["tiny"]


def pooled(pool, groups=1, residual=False):
    """A convolution with a pooling, between a quantisation and a dequantisation."""
    rng = np.random.default_rng(1)
    operator = QConv2d((1, 1), (0, 0, 0, 0), (1, 1), groups, -4, 2, -90, 100, residual, pool)
    constants = {
        "weight": rng.integers(-127, 128, (5, 5 // groups, 1, 1), np.int8),
        "bias": np.arange(5, dtype=np.int32) * 300,
        "scale": pack_scale(np.full(5, 80000), np.full(5, 4)),
        **({"factor": np.arange(40, 45, dtype=np.int16)} if residual else {}),
    }
    inputs = ("q", "weight", "bias", "scale", *(("q", "factor") if residual else ()))
    return network(
        inputs={"x": (1, 5, 12, 10)},
        nodes=(
            Node("quantise", Quantise(0.1, -4), ("x",), "q"),
            Node("layer", operator, inputs, "r"),
            Node("dequantise", Dequantise(0.1, 2), ("r",), "y"),
        ),
        outputs=("y",),
        constants=constants,
    )


@pytest.mark.parametrize(
    ("graph", "operators"),
    [
        (pooled(Window((3, 2), (2, 2))), ["qconv2d"]),
        (pooled(Window((3, 2), (2, 2), (1, 0, 1, 1))), ["qconv2d", "qmax_pool2d"]),
        (pooled(Window((8, 8), (4, 2))), ["qconv2d"]),
        (pooled(Window((9, 8), (3, 2))), ["qconv2d", "qmax_pool2d"]),
        (pooled(Window((2, 2)), groups=5), ["qconv2d", "qmax_pool2d"]),
        (pooled(Window((2, 2)), residual=True), ["qconv2d", "qmax_pool2d"]),
    ],
    ids=["behind", "padded", "a bank of sums", "more than a bank", "depthwise", "residual"],
)
def test_a_pooling_is_parted_where_it_cannot_follow(graph, operators):
    result = graph.with_function(legalise(graph.function, TINY))
    names = [each.operator.name for each in result.function.equations if each.operands]
    assert names == ["quantise", *operators, "dequantise"]
    x = {"x": np.random.default_rng(2).normal(0, 8, (2, 5, 12, 10)).astype(np.float32)}
    np.testing.assert_array_equal(result.run(x)["y"], graph.run(x)["y"])


@pytest.mark.parametrize(
    ("outputs", "operators"),
    [(("y",), ["qconv2d_table"]), (("y", "r"), ["qconv2d", "qlookup"])],
    ids=["read by the table alone", "a result too"],
)
def test_a_table_ends_the_convolution_that_it_alone_reads(outputs, operators):
    plain = pooled(None)
    b = Builder("network")
    x = b.parameter("x", plain.function.parameters[0].type)
    table = b.constant((np.arange(256) * 7 % 251 - 128).astype(np.int8))
    r = inline(b, plain.function, [x])[0]
    (before,) = b.producer(r).operands
    y = b.emit(Dequantise(0.1, 2), b.emit(QLookup(), before, table))
    graph = NamedFunction(pruned(b.function(*(y, r)[: len(outputs)])), ("x",), outputs)
    result = graph.with_function(legalise(graph.function, TINY))
    names = [each.operator.name for each in result.function.equations if each.operands]
    assert [name for name in names if name.startswith("q")] == ["quantise", *operators]
    x = {"x": np.random.default_rng(2).normal(0, 8, (2, 5, 12, 10)).astype(np.float32)}
    for name, value in graph.run(x).items():
        np.testing.assert_array_equal(result.run(x)[name], value)
