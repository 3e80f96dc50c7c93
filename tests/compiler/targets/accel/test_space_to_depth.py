"""Convolutions over patches of what the host hands over are the convolutions that the network asks for."""

import numpy as np
import pytest
from tests.compiler.random_network import random_input
from tests.e2e.fuzz import check_network
from tests.layers import Node, network

from tilewright.compiler.ir.error import OperatorError
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.ops.quantised.window import Window
from tilewright.compiler.targets.accel.layer_schedule import legal_network
from tilewright.compiler.targets.accel.legalise import legalise
from tilewright.isa.config import PRESETS
from tilewright.numerics.requantise import pack_scale

TINY, REFERENCE = PRESETS["tiny"], PRESETS["reference"]


def convolved(shape, outputs, kernel, strides, pads, dilations=(1, 1), pool=None, outputs_too=()):
    """A convolution of what the host quantises."""
    rng = np.random.default_rng(7)
    operator = QConv2d(strides, pads, dilations, 1, -4, 2, -128, 127, pool=pool)
    constants = {
        "weight": rng.integers(-127, 128, (outputs, shape[1], *kernel), np.int8),
        "bias": rng.integers(-3000, 3000, outputs).astype(np.int32),
        "scale": pack_scale(np.full(outputs, 80000), np.full(outputs, 5)),
    }
    return network(
        inputs={"x": shape},
        nodes=(
            Node("quantise", Quantise(0.1, -4), ("x",), "q"),
            Node("layer", operator, ("q", "weight", "bias", "scale"), "r"),
            Node("dequantise", Dequantise(0.1, 2), ("r",), "y"),
            *(Node("given", Dequantise(0.1, -4), ("q",), each) for each in outputs_too),
        ),
        outputs=("y", *outputs_too),
        constants=constants,
    )


def drawn(seed):
    """A random convolution; None if its window does not fit."""
    rng = np.random.default_rng((3, seed))
    kernel, strides, dilations = (tuple(int(n) for n in rng.integers(1, most, 2)) for most in (6, 5, 3))
    shape = (1, int(rng.integers(1, 6)), *(int(n) for n in rng.integers(3, 15, 2)))
    pads = tuple(int(rng.integers(0, taps)) for taps in kernel * 2)
    try:
        return convolved(shape, int(rng.integers(1, 10)), kernel, strides, pads, dilations)
    except OperatorError:
        return None


def layer(named, config):
    """The only layer that the machine has of a function, and its input."""
    found = legal_network(named, config)
    (unit,) = found.layers
    (port,) = found.inputs
    return unit, port


@pytest.mark.parametrize("config", [TINY, REFERENCE], ids=["tiny", "reference"])
def test_random_convolutions_over_patches_mean_the_same(config):
    changed = 0
    for seed in range(150):
        named = drawn(seed)
        if named is None:
            continue
        inputs = random_input(np.random.default_rng(seed), named, 2)
        alone = named.one_sample()
        legal = alone.with_function(legalise(alone.function, config))
        for sample in range(2):
            one = {name: array[sample : sample + 1] for name, array in inputs.items()}
            np.testing.assert_array_equal(legal.run(one)["y"], alone.run(one)["y"], err_msg=str(seed))
        unit, port = layer(named, config)
        changed += bool(port.views)
        (whole,) = (each for each in named.function.equations if isinstance(each.operator, QConv2d))
        assert unit.macs == whole.operator.macs(*(each.type for each in whole.operands))
    assert changed > 20


@pytest.mark.parametrize("seed", range(0, 60, 5))
def test_some_of_them_on_the_simulator(seed):
    named = drawn(seed)
    if named is not None:
        check_network(named, random_input(np.random.default_rng(seed), named, 2), TINY)


@pytest.mark.parametrize(
    ("size", "kernel", "strides", "pads", "taps"),
    [
        (224, 3, 2, (0, 0, 1, 1), (2, 2)),
        (224, 3, 2, (1, 1, 1, 1), (2, 2)),
        (224, 7, 2, (3, 3, 3, 3), (4, 4)),
        (224, 16, 16, (0, 0, 0, 0), (1, 1)),
        (224, 3, 1, (1, 1, 1, 1), (3, 3)),
    ],
)
def test_first_layers_have_fewer_taps_and_few_bytes(size, kernel, strides, pads, taps):
    named = convolved((1, 3, size, size), 32, (kernel,) * 2, (strides,) * 2, pads)
    unit, port = layer(named, REFERENCE)
    assert unit.types[1].numbers[2:] == taps
    if strides > 1:
        channels, height, width = port.value.type.numbers[1:]
        assert -(-channels // 16) * 16 * height * width <= 1.35 * 3 * size**2


def test_channels_that_fill_the_lanes_stay():
    unit, port = layer(convolved((1, 64, 8, 8), 16, (3, 3), (2, 2), (1, 1, 1, 1)), REFERENCE)
    assert not port.views
    assert unit.operator.strides == (2, 2)


def test_what_another_reads_stays():
    named = convolved((1, 3, 8, 8), 16, (3, 3), (2, 2), (1, 1, 1, 1), outputs_too=("z",))
    assert not any(port.views for port in legal_network(named, REFERENCE).inputs)
    check_network(named, random_input(np.random.default_rng(1), named, 2), TINY)


@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 1, 1)])
def test_a_pooling_follows(pads):
    pool = Window((3, 3), (2, 2), pads)
    named = convolved((1, 3, 17, 15), 6, (3, 3), (2, 2), (1, 1, 1, 1), pool=pool)
    check_network(named, random_input(np.random.default_rng(1), named, 2), TINY)
