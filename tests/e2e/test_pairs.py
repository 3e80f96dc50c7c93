"""Every operator behind every other one: devices answer alike, and close to the floats."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
from tests.onnx_network import check_devices, integers, load, meaning
from tests.random_onnx import PAIRS, random_model

from tilewright.runtime.rtl_toolchain import find_toolchain

PARTS = 7
SPREAD = 0.04
"""Of errors, as a part of the result's span: most are below 0.005; a clamp keeps the scale of its input."""
OPERATORS = {
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Clip",
    "Conv",
    "GlobalAveragePool",
    "Identity",
    "MaxPool",
    "Mul",
    "Relu",
}
MOVES = {"Concat", "Pad", "Slice", "Reshape"}
"""Stand together with each other: beside most operators, not all."""


def network(number):
    """The model of a pair, and inputs."""
    rng = np.random.default_rng((4, number))
    model = random_model(rng, PAIRS[number])
    shapes, _ = load(model).sample_shapes
    samples = {name: rng.normal(0.3, 1, (6, *shape)).astype(np.float32) for name, shape in shapes.items()}
    return model, samples


def neighbours(model):
    """The kinds of each two operators of which one reads the other."""
    kinds = {name: node.op_type for node in model.graph.node for name in node.output}
    return [(kinds[name], node.op_type) for node in model.graph.node for name in node.input if name in kinds]


def test_every_pair_of_operators_is_drawn():
    drawn = Counter(pair for number in range(len(PAIRS)) for pair in neighbours(network(number)[0]))
    for first in sorted(OPERATORS):
        print(first.ljust(20), *(f"{second} {drawn[first, second]}" for second in sorted(OPERATORS)))
    assert [(a, b) for a in OPERATORS for b in OPERATORS if not drawn[a, b]] == []
    for move in sorted(MOVES):
        beside = sum(bool(drawn[move, each]) + bool(drawn[each, move]) for each in OPERATORS | MOVES)
        print(move, beside)
        assert beside >= 5, move


@pytest.mark.slow
def test_every_form_of_a_convolution_is_drawn():
    """What a convolution may take of what stands behind it, whole, in groups and depthwise."""
    drawn = Counter()
    for number in range(len(PAIRS)):
        for equation in integers(*network(number)).function.equations:
            if equation.operator.name == "qconv2d":
                operator = equation.operator
                shape = equation.operands[1].type.numbers
                kind = (operator.groups > 1) + operator.geometry().is_depthwise(shape)
                drawn[kind, operator.residual, operator.pool is not None] += 1
    print(drawn)
    assert {(kind, *others) for kind in (0, 2) for others in product((False, True), repeat=2)} <= drawn.keys()
    assert {(1, False, False), (1, True, False)} <= drawn.keys()


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_networks_of_every_pair_answer_alike_and_close(part):
    for number in range(part, len(PAIRS), PARTS):
        model, samples = network(number)
        found = check_devices(integers(model, samples), samples)
        for name, value in meaning(load(model), samples).items():
            span = max(float(value.max()), 0) - min(float(value.min()), 0)
            error = np.sqrt(np.mean((found[name] - value) ** 2))
            assert error <= SPREAD * span, (number, PAIRS[number], name)


@pytest.mark.slow
@pytest.mark.skipif(find_toolchain() is None, reason="needs Verilator and a C++ compiler")
def test_some_pairs_on_the_gates():
    for number in range(0, len(PAIRS), 17):
        model, samples = network(number)
        samples = {name: array[:1] for name, array in samples.items()}
        check_devices(integers(model, samples), samples, devices=("rtl",))
