"""Convolutions of every shape on every kind of host: the operators' meaning, to the bit for int8."""

import re

import numpy as np
import pytest
from tests.compiler.targets.cpu.test_micro_kernel import HOSTS

from tilewright.compiler.ops.primitive.conv import Conv
from tilewright.compiler.ops.quantised.convolution import ConvolutionGeometry
from tilewright.compiler.ops.quantised.requantised import finish
from tilewright.compiler.targets.cpu.codegen import emit_module
from tilewright.compiler.targets.cpu.feature import DotInstruction, Features
from tilewright.compiler.targets.cpu.kernel import compile_function
from tilewright.compiler.targets.cpu.machine import HostMachine, assembly_text
from tilewright.compiler.targets.cpu.operator.convolution_schedule import ConvolutionSchedule
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.targets.cpu.operator.layer import float_layer, integer_layer
from tilewright.compiler.targets.cpu.operator.layout import starts, weight_panels
from tilewright.compiler.targets.cpu.operator.register_tile import panel_lanes
from tilewright.compiler.tir.interpret import run
from tilewright.numerics.requantise import pack_scale

SHAPES = {
    "tails": {"height": 9, "width": 9, "channels": 8, "outputs": 40, "kernel": (3, 3), "pads": (1, 1, 1, 1)},
    "strides": {"height": 8, "width": 11, "channels": 3, "outputs": 5, "kernel": (3, 2), "strides": (2, 3)},
    "pixels": {"height": 5, "width": 6, "channels": 64, "outputs": 64, "kernel": (1, 1), "strides": (2, 2)},
    "dilations": {
        "height": 9,
        "width": 10,
        "channels": 7,
        "outputs": 33,
        "kernel": (2, 3),
        "dilations": (2, 3),
    },
    "uneven pads": {
        "height": 6,
        "width": 5,
        "channels": 1,
        "outputs": 70,
        "kernel": (5, 4),
        "pads": (2, 0, 3, 1),
    },
    "bands of rows": {
        "height": 22,
        "width": 5,
        "channels": 4,
        "outputs": 18,
        "kernel": (3, 3),
        "pads": (3, 1, 2, 1),
    },
    "dense": {"height": 1, "width": 1, "channels": 130, "outputs": 10, "kernel": (1, 1)},
    "one pixel": {"height": 1, "width": 1, "channels": 1, "outputs": 18, "kernel": (1, 1)},
    "unread edge": {
        "height": 8,
        "width": 8,
        "channels": 4,
        "outputs": 16,
        "kernel": (2, 2),
        "strides": (3, 3),
    },
}


NARROW = (DotInstruction.AVX_VNNI, DotInstruction.AVX2)


@pytest.fixture(params=[pytest.param(dot, marks=pytest.mark.slow if dot in NARROW else ()) for dot in HOSTS])
def host(request):
    machine = HostMachine.host().without(*HOSTS[request.param])
    if Features.of(machine).dot is not request.param:
        pytest.skip(f"this host has no {request.param}")
    return machine


def int8_case(sizes, features, seed=0):
    """Inputs of the whole range, and the answer."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (sizes.height, sizes.width, sizes.channels), np.int8)
    weight = rng.integers(-128, 128, (sizes.outputs, sizes.channels, *sizes.kernel), np.int8)
    bias = rng.integers(-(2**15), 2**15, sizes.outputs, np.int32)
    scale = pack_scale(rng.integers(1 << 16, 1 << 17, sizes.outputs), rng.integers(3, 8, sizes.outputs))
    meaning = ConvolutionGeometry(sizes.strides, sizes.pads, sizes.dilations, 1)
    total = meaning.run(x.transpose(2, 0, 1)[None], weight, sizes.zero_point)
    answer = finish(total, bias[:, None, None], scale[:, None, None], 3, -100, 90)[0].transpose(1, 2, 0)
    lanes = panel_lanes(sizes.outputs, False, features)
    inputs = {"x": x.reshape(sizes.height, -1), "weight": weight_panels(weight, sizes, lanes)}
    inputs |= {"start": starts(weight, lanes), "bias": bias, "scale": scale.astype(np.int32)}
    return inputs, answer


@pytest.mark.parametrize("shape", SHAPES)
def test_int8_layers_have_the_bits_of_the_operator(host, shape):
    sizes, features = ConvolutionSizes(**SHAPES[shape], zero_point=-7), Features.of(host)
    inputs, answer = int8_case(sizes, features)
    function = integer_layer("layer", sizes, features, 3, -100, 90)
    np.testing.assert_array_equal(compile_function(function, machine=host).run(inputs)["result"], answer)
    if Features.of(host).dot is DotInstruction.PLAIN:
        np.testing.assert_array_equal(run(function, inputs)["result"], answer)


@pytest.mark.parametrize("shape", SHAPES)
def test_float_layers_are_near_the_operator(host, shape):
    sizes, features = ConvolutionSizes(**SHAPES[shape], is_float=True), Features.of(host)
    if features.dot is DotInstruction.AVX512_VNNI:
        pytest.skip("floats are computed as with AMX")
    rng = np.random.default_rng(1)
    x = rng.normal(size=(sizes.height, sizes.width, sizes.channels)).astype(np.float32)
    weight = rng.normal(size=(sizes.outputs, sizes.channels, *sizes.kernel)).astype(np.float32)
    bias = rng.normal(size=sizes.outputs).astype(np.float32)
    (total,) = Conv(sizes.strides, sizes.pads, sizes.dilations).run(x.transpose(2, 0, 1)[None], weight)
    answer = total[0].transpose(1, 2, 0) + bias
    panels = weight_panels(weight, sizes, ConvolutionSchedule.default(sizes, features).lanes)
    kernel = compile_function(float_layer("layer", sizes, features), contract=True, machine=host)
    found = kernel.run({"x": x.reshape(sizes.height, -1), "weight": panels, "bias": bias})["result"]
    np.testing.assert_allclose(found, answer, atol=1e-4)


def inner_loops(assembly):
    """The instructions of loops around no other one."""
    return [
        body for _, body in re.findall(r"^(\.L\w+):.*\n((?:\t.*\n)*?\tj\w+\t\1)$", assembly, re.MULTILINE)
    ]


def test_sums_of_floats_stay_in_registers_beside_what_is_around():
    """Tiles of two heights, and a bias that LLVM would like to keep in registers, too."""
    machine = HostMachine.host()
    if Features.of(machine).registers < 32:
        pytest.skip("this host has few registers")
    sizes = ConvolutionSizes(
        height=14, width=14, channels=256, outputs=512, kernel=(1, 1), strides=(2, 2), is_float=True
    )
    function = float_layer("layer", sizes, Features.of(machine))
    text = str(emit_module([function], contract=True, parallel=False, machine=machine))
    reduction_loops = [body for body in inner_loops(assembly_text(text, machine)) if body.count("fma") >= 8]
    assert len(reduction_loops) == 2
    for body in reduction_loops:
        assert "%rsp" not in body
        assert not re.search(r"vmovap\w\t%zmm\d+, %zmm", body)
