"""What moves elements becomes integers that every device computes alike; whole blocks are not copied."""

from collections import Counter

import numpy as np
import pytest
from tests.onnx_network import TINY, OnnxNetwork, check_close, check_devices, integers, load, meaning

from tilewright.compiler.dtype import DType
from tilewright.compiler.network.split import placed_network
from tilewright.compiler.network.target import ACCELERATOR, HOST
from tilewright.compiler.pipeline import compile_model
from tilewright.compiler.quantise.error import QuantiseError
from tilewright.compiler.targets.accel.layer_schedule import legal_network
from tilewright.runtime.model_runner import ModelRunner
from tilewright.runtime.rtl_device import RtlDevice
from tilewright.runtime.rtl_toolchain import find_toolchain
from tilewright.runtime.sim_device import SimDevice

SHAPE = (1, 8, 6, 5)
X = {"x": np.random.default_rng(3).normal(0.3, 1, (5, *SHAPE[1:])).astype(np.float32)}


def convolved(network, x, inputs, outputs, size=3, **attributes):
    rng = np.random.default_rng(inputs * outputs + size)
    inputs //= attributes.get("group", 1)
    weight = rng.normal(0, 1.2 / np.sqrt(inputs * size**2), (outputs, inputs, size, size))
    return network.add("Conv", x, weight, rng.normal(0, 0.3, outputs), pads=[size // 2] * 4, **attributes)


def sliced(network, x, axis, start, stop, step=1):
    return network.add("Slice", x, np.array([start]), np.array([stop]), np.array([axis]), np.array([step]))


def joined(network, *values, axis=1):
    return network.add("Concat", *values, axis=axis)


def branches(network, *channels, x="x", axis=1):
    """Convolutions of one value, one behind the other."""
    return joined(network, *(convolved(network, x, 8, count) for count in channels), axis=axis)


def shuffled(network, x, groups, each, size=(6, 5)):
    """The channels of groups, alternating."""
    split = network.add("Reshape", x, np.array([0, groups, each, *size]))
    turned = network.add("Transpose", split, perm=[0, 2, 1, *range(3, 3 + len(size))])
    return network.add("Reshape", turned, np.array([0, groups * each, 6, 5]))


def grown(network):
    """A block of a DenseNet: each layer reads all before it."""
    values = convolved(network, "x", 8, 8)
    for channels in (8, 12, 16):
        read = network.add("Relu", convolved(network, values, channels, 4))
        values = joined(network, values, read)
    return convolved(network, values, 20, 5, 1)


def unit(network):
    """Of a ShuffleNet."""
    few = shuffled(network, convolved(network, "x", 8, 6, 1, group=2), 2, 3)
    return convolved(network, convolved(network, few, 6, 6, group=6), 6, 4, 1, group=2)


def second_unit(network):
    """Of a ShuffleNet v2: half of the channels is passed on."""
    x = convolved(network, "x", 8, 12)
    for _ in range(2):
        one, other = (sliced(network, x, 1, start, start + 6) for start in (0, 6))
        other = network.add("Relu", convolved(network, other, 6, 6, 1))
        other = convolved(network, convolved(network, other, 6, 6, group=6), 6, 6, 1)
        x = shuffled(network, joined(network, one, network.add("Relu", other)), 2, 6)
    return convolved(network, x, 12, 4)


def both_kinds(network):
    """What is joined twice can be a part of one result alone."""
    one, other = convolved(network, "x", 8, 8), convolved(network, "x", 8, 4, 1)
    return joined(network, joined(network, one, other), joined(network, other, one), "x")


NETWORKS = {
    "whole blocks": lambda n: convolved(n, branches(n, 4, 8, 5), 17, 6),
    "parts of blocks": lambda n: convolved(n, branches(n, 3, 6, 5), 14, 6, 1),
    "parts of blocks that many weights read": lambda n: convolved(n, branches(n, 3, 6, 5), 14, 16),
    "parts of blocks that a pooling reads": lambda n: n.add(
        "MaxPool", branches(n, 3, 6, 5), kernel_shape=[2, 2]
    ),
    "a result": lambda n: branches(n, 3, 6),
    "clamped": lambda n: n.add("Relu", branches(n, 8, 6)),
    "rows": lambda n: branches(n, 5, 5, axis=2),
    "columns": lambda n: convolved(n, branches(n, 5, 5, axis=3), 5, 4),
    "of inputs": lambda n: joined(n, "x", "x", sliced(n, "x", 1, 4, 8)),
    "what is joined twice": both_kinds,
    "grown": grown,
    "neighbours": lambda n: n.add("Add", *(sliced(n, convolved(n, "x", 8, 8), 1, k, k + 4) for k in (0, 4))),
    "a part of a block": lambda n: convolved(n, sliced(n, convolved(n, "x", 8, 11), 1, 3, 8), 5, 4, 1),
    "every second channel": lambda n: sliced(n, convolved(n, "x", 8, 11), 1, 1, 10, 2),
    "a part as result": lambda n: sliced(n, convolved(n, "x", 8, 8), 1, 4, 8),
    "a part of the picture": lambda n: sliced(n, sliced(n, convolved(n, "x", 8, 5), 2, 1, 5), 3, 0, 5, 2),
    "border of zeros": lambda n: n.add("Pad", convolved(n, "x", 8, 5), np.array([0, 0, 1, 2, 0, 0, 3, 0])),
    "border before a convolution": lambda n: convolved(
        n, n.add("Pad", "x", np.array([0, 0, 1, 2, 0, 0, 3, 0])), 8, 4
    ),
    "border of another value": lambda n: n.add(
        "Pad", convolved(n, "x", 8, 5), np.array([0, 0, 1, 0, 0, 0, 0, 1]), 1.4
    ),
    "border of channels": lambda n: n.add("Pad", convolved(n, "x", 8, 6), np.array([0, 3, 0, 0, 0, 1, 0, 0])),
    "order": lambda n: convolved(n, shuffled(n, convolved(n, "x", 8, 6), 2, 3), 6, 4),
    "order of pixels in a row": lambda n: n.add("Relu", shuffled(n, convolved(n, "x", 8, 6), 2, 3, (30,))),
    "order that is pooled": lambda n: n.add(
        "MaxPool", shuffled(n, convolved(n, "x", 8, 6), 3, 2), kernel_shape=[2, 2]
    ),
    "features": lambda n: n.add("Concat", *(n.add("Flatten", n.add("GlobalAveragePool", v)) for v in (
        convolved(n, "x", 8, 3), convolved(n, "x", 8, 6))), axis=1),
    "groups of blocks": lambda n: convolved(n, "x", 8, 16, group=2),
    "groups": lambda n: n.add("Relu", convolved(n, convolved(n, "x", 8, 9), 9, 15, group=3)),
    "multiplied channels": lambda n: convolved(n, "x", 8, 24, group=8),
    "a unit of a ShuffleNet": unit,
    "units of a ShuffleNet v2": second_unit,
    "border of an order": lambda n: n.add(
        "Pad", shuffled(n, convolved(n, "x", 8, 6), 2, 3), np.array([0, 1, 0, 0, 0, 2, 0, 0])
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NETWORKS)
def test_what_is_moved_is_close_and_alike(case):
    network = OnnxNetwork({"x": SHAPE}, opset=20)
    check_close(network.model(NETWORKS[case](network)), X, steps=6)


@pytest.mark.slow
@pytest.mark.skipif(find_toolchain() is None, reason="needs Verilator and a C++ compiler")
@pytest.mark.parametrize("case", ["grown", "a unit of a ShuffleNet", "order that is pooled", "columns"])
def test_what_is_moved_takes_the_same_cycles_on_the_gates(case):
    network = OnnxNetwork({"x": SHAPE}, opset=20)
    model = compile_model(integers(network.model(NETWORKS[case](network)), X), TINY)
    one = {"x": X["x"][:1]}
    simulated, gates = (ModelRunner(model, device(TINY)).run(one) for device in (SimDevice, RtlDevice))
    assert simulated.cycles == gates.cycles
    for name, value in simulated.outputs.items():
        np.testing.assert_array_equal(gates.outputs[name], value)


def operators(case):
    """How many layers of each kind the machine runs."""
    network = OnnxNetwork({"x": SHAPE}, opset=20)
    found = legal_network(integers(network.model(NETWORKS[case](network)), X), TINY)
    return Counter(unit.operator.name for unit in found.layers)


@pytest.mark.parametrize(
    ("case", "layers"),
    [
        ("whole blocks", {"qconv2d": 4}),
        ("grown", {"qconv2d": 5}),
        ("parts of blocks", {"qconv2d": 4}),
        ("parts of blocks that many weights read", {"qconv2d": 4, "qgather": 1}),
        ("parts of blocks that a pooling reads", {"qconv2d": 3, "qgather": 1, "qmax_pool2d": 1}),
        ("neighbours", {"qconv2d": 1, "qadd": 1}),
        ("a part of a block", {"qconv2d": 2}),
        ("order", {"qconv2d": 2}),
        ("border before a convolution", {"qconv2d": 1}),
        ("what is joined twice", {"qconv2d": 2, "qmax_pool2d": 3}),
        # Copied: the first half, which lies in the input of the other one, too; put in order: its successor,
        # and what is joined last. The other halves are taken by weights.
        ("units of a ShuffleNet v2", {"qconv2d": 8, "qgather": 2, "qmax_pool2d": 1}),
        ("border of an order", {"qconv2d": 1, "qgather": 1}),
        ("a part as result", {"qconv2d": 1, "qmax_pool2d": 1}),
    ],
)
def test_only_what_lies_nowhere_else_is_copied(case, layers):
    assert operators(case) == layers


def test_what_is_joined_has_one_scale():
    network = OnnxNetwork({"x": SHAPE}, opset=20)
    wide = network.add("Mul", convolved(network, "x", 8, 4), 9.0)
    model = network.model(joined(network, wide, convolved(network, "x", 8, 4)))
    named = integers(model, X)
    kinds = [each.operator.name for each in named.function.equations if each.operands]
    assert kinds == ["quantise", "qconv2d", "qconv2d", "qconcat", "dequantise"]


@pytest.mark.parametrize("result", [(0.021, 4), (0.05, -3)], ids=["one of the scales", "another scale"])
def test_scales_of_the_model_are_kept(result):
    """Each value is dequantised, joined, quantised again: as the model's own operators say."""
    network = OnnxNetwork({"x": SHAPE}, opset=20)

    def passed(x, scale, zero):
        given = np.float32(scale), np.array(zero, np.int8)
        return network.add("DequantizeLinear", network.add("QuantizeLinear", x, *given), *given)

    x = passed("x", 0.04, 3)
    parts = passed(convolved(network, x, 8, 4), 0.021, 4), passed(convolved(network, x, 8, 3), 0.05, -30)
    model = network.model(passed(joined(network, *parts), *result))
    found, expected = check_devices(integers(model), X), meaning(load(model), X)
    for name, value in found.items():
        # A step of the coarsest scale, rounded to one of the result's.
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=0.05 + result[0])


def test_what_the_host_reads_of_a_quantised_network_is_cut_behind_its_dequantisation():
    network = OnnxNetwork({"x": SHAPE}, opset=20)
    given = np.float32(0.05), np.array(3, np.int8)

    def passed(x):
        return network.add("DequantizeLinear", network.add("QuantizeLinear", x, *given), *given)

    x = passed(branches(network, 4, 6, x=passed("x")))
    model = network.model(network.add("Softmax", x, axis=1))
    first, last = placed_network(load(model), TINY).named.function.equations
    assert (first.operator.target, last.operator.target) == (ACCELERATOR, HOST)
    assert [value.type.dtype for value in first.results] == [DType.FLOAT32]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda n: sliced(n, "x", 2, 5, 0, -1), "must be a list of channels"),
        (lambda n: sliced(n, n.add("Flatten", "x"), 1, 3, 9), "move the feature maps"),
        (lambda n: n.add("Pad", "x", np.array([1, 0, 0, 0, 0, 0, 0, 0])), "the batch must"),
    ],
    ids=["backwards", "features of maps", "batch"],
)
def test_what_cannot_be_moved_is_refused(make, message):
    network = OnnxNetwork({"x": SHAPE}, opset=20)
    with pytest.raises(QuantiseError, match=message):
        integers(network.model(make(network)), X)
