"""Convolutions by fewer products: near the direct form, and chosen where they gain."""

from dataclasses import replace

import numpy as np
import pytest
from tests.compiler.targets.cpu.test_micro_kernel import HOSTS

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.primitive.conv import Conv
from tilewright.compiler.targets.cpu.feature import DotInstruction, Features
from tilewright.compiler.targets.cpu.host import compile_host, program
from tilewright.compiler.targets.cpu.kernel import compile_function
from tilewright.compiler.targets.cpu.machine import HostMachine
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.targets.cpu.operator.winograd import (
    INPUT,
    OUTPUT,
    WEIGHT,
    gains,
    register_tile,
    transformed_weights,
    winograd,
)
from tilewright.compiler.te import placeholder

TOLERANCE = 3e-5
"""Of the largest result; the direct form is within 1e-6."""
SIZES = ConvolutionSizes(
    height=8, width=8, channels=32, outputs=32, kernel=(3, 3), pads=(1, 1, 1, 1), is_float=True
)
WIDE = Features(64, 32)


@pytest.fixture(params=[DotInstruction.AVX512_VNNI, DotInstruction.AVX2, DotInstruction.PLAIN], ids=str)
def host(request):
    machine = HostMachine.host().without(*HOSTS[request.param])
    if Features.of(machine).dot is not request.param:
        pytest.skip(f"this host has no {request.param}")
    return machine


def test_the_transformations_of_lines_are_a_convolution():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=6), rng.normal(size=3)
    found = np.array(OUTPUT) @ ((WEIGHT @ w) * (np.array(INPUT) @ x))
    np.testing.assert_allclose(found, np.correlate(x, w, "valid"), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "sizes",
    [
        SIZES,
        replace(SIZES, height=7, width=10, outputs=24),
        replace(SIZES, height=13, width=5, channels=48, outputs=3, pads=(0, 0, 0, 0)),
        replace(SIZES, height=4, width=21, pads=(2, 0, 1, 3)),
    ],
    ids=["whole tiles", "edges", "no padding", "uneven padding"],
)
def test_results_are_near_those_of_the_direct_form(host, sizes):
    rng, features = np.random.default_rng(3), Features.of(host)
    x = rng.normal(size=(sizes.height, sizes.width, sizes.channels)).astype(np.float32)
    weight = rng.normal(size=(sizes.outputs, sizes.channels, 3, 3)).astype(np.float32)
    bias = rng.normal(size=sizes.outputs).astype(np.float32)
    tensor = placeholder((sizes.outputs,), DType.FLOAT32, "bias")
    function = winograd("layer", sizes, [tensor], lambda total, y, x, c: total + tensor[c], features)
    panels = transformed_weights(weight, register_tile(sizes, features).lanes)
    kernel = compile_function(function, contract=True, machine=host)
    found = kernel.run({"x": x.reshape(sizes.height, -1), "weight": panels, "bias": bias})["result"]
    exact = [each.astype(np.float64) for each in (x.transpose(2, 0, 1)[None], weight)]
    (total,) = Conv((1, 1), sizes.pads, (1, 1)).run(*exact)
    expected = total[0].transpose(1, 2, 0) + bias
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())


def test_it_is_taken_where_it_gains():
    large = replace(SIZES, height=56, width=56, channels=64, outputs=64)
    assert gains(large, WIDE)
    for other in (
        SIZES,
        replace(large, kernel=(5, 5)),
        replace(large, strides=(2, 2)),
        replace(large, dilations=(2, 2)),
        replace(large, channels=60),
        replace(large, is_float=False),
        # The last tile of five would be mostly empty.
        replace(large, height=5, width=5, channels=128, outputs=128),
        replace(large, height=14, width=14, channels=1024, outputs=1024),
    ):
        assert not gains(other, WIDE)


def test_a_network_takes_it_with_what_is_behind_the_convolution(monkeypatch):
    rng, texts = np.random.default_rng(5), []
    monkeypatch.setattr(program, "Compiler", noting(texts))
    b = Builder("net")
    x = b.parameter("x", TensorType(DType.FLOAT32, (2, 64, 29, 28)))
    weight = (rng.normal(size=(48, 64, 3, 3)) / 24).astype(np.float32)
    y = b.emit(Conv((1, 1), (1, 1, 1, 1), (1, 1)), x, b.constant(weight))
    residual = b.parameter("residual", TensorType(DType.FLOAT32, (2, 48, 29, 28)))
    function = b.function(e.relu(b, e.add(b, y, residual)))
    given = [rng.normal(size=each.type.numbers).astype(np.float32) for each in function.parameters]
    (found,) = compile_host(function, schedules=NeverAsked()).run(*given)
    (total,) = Conv((1, 1), (1, 1, 1, 1), (1, 1)).run(given[0].astype(np.float64), weight.astype(np.float64))
    expected = np.maximum(total + given[1], 0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())
    assert any("winograd" in text for text in texts)


class NeverAsked(dict):
    """Schedules are of the direct form."""

    def get(self, key, default=None):
        raise AssertionError(f"{key} must have no schedule")


def noting(texts):
    class Noting(program.Compiler):
        def code(self, key, make, **options):
            texts.append(key)
            return super().code(key, make, **options)

    return Noting
