"""Schedules that the host's compiler is given: other code, the same answers."""

import re
from dataclasses import replace

import numpy as np
import pytest
from tests.compiler.random_network import random_input
from tests.compiler.targets.cpu.host.compiled import assert_near, values
from tests.compiler.targets.cpu.test_network import layer

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.quantised.window import Window
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.host import compile_host
from tilewright.compiler.targets.cpu.machine import HostMachine
from tilewright.compiler.targets.cpu.network import HostNetwork
from tilewright.compiler.targets.cpu.operator.convolution_schedule import (
    ConvolutionSchedule,
    Order,
    Threads,
    convolution_key,
)
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.targets.cpu.operator.register_tile import vector_lanes

FEATURES = Features.of(HostMachine.host())
CONVOLUTION = ConvolutionSizes(
    height=9, width=8, channels=32, outputs=48, kernel=(3, 3), pads=(1, 1, 1, 1), is_float=True
)
PRODUCT = ConvolutionSizes(height=1, width=20, channels=48, outputs=40, kernel=(1, 1), is_float=True)
INTEGERS = ConvolutionSizes(height=6, width=5, channels=5, outputs=6, kernel=(3, 3), pads=(1, 1, 1, 1))


def other(sizes):
    """A schedule that is not the default, with panels of another width where there is one."""
    return ConvolutionSchedule(
        rows=1,
        columns=2,
        lanes=vector_lanes(sizes.is_float, FEATURES),
        order=Order.TILES,
        copy=ConvolutionSchedule.default(sizes, FEATURES).copy,
        threads=Threads.OUTER,
        depth=sizes.steps,
    )


def schedules_of(sizes, schedule=None):
    key = convolution_key(sizes, is_shared=sizes is CONVOLUTION)
    return {key: schedule or other(sizes)}


def function_of(sizes, rng):
    b = Builder("layer")
    if sizes is PRODUCT:
        x = b.parameter("x", TensorType(DType.FLOAT32, (3, 20, 48)))
        weight = b.constant(values(rng, DType.FLOAT32, 3, 48, 40))
        return b.function(e.maximum(b, e.matmul(b, x, weight), 0)), values(rng, DType.FLOAT32, 3, 20, 48)
    x = b.parameter("x", TensorType(DType.FLOAT32, (2, 32, 9, 8)))
    weight = b.constant(values(rng, DType.FLOAT32, 48, 32, 3, 3))
    result = e.maximum(b, e.conv(b, x, weight, pads=(1, 1, 1, 1)), 0)
    return b.function(result), values(rng, DType.FLOAT32, 2, 32, 9, 8)


@pytest.mark.parametrize("sizes", [CONVOLUTION, PRODUCT], ids=["convolution", "product"])
def test_a_schedule_changes_the_code_and_not_the_answer(sizes, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    function, x = function_of(sizes, np.random.default_rng(0))
    plain = compile_host(function)
    expected = run(function, x)
    assert_near(plain.run(x), expected)
    scheduled = compile_host(function, schedules=schedules_of(sizes))
    assert scheduled.compiled > 0
    assert_near(scheduled.run(x), expected)
    assert compile_host(function).compiled == 0


def test_schedules_of_other_convolutions_change_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    function, x = function_of(PRODUCT, np.random.default_rng(0))
    compile_host(function).run(x)
    schedules = schedules_of(replace(PRODUCT, width=21))
    assert compile_host(function, schedules=schedules).compiled == 0


def test_a_schedule_that_does_not_fit_is_refused():
    function, _ = function_of(PRODUCT, np.random.default_rng(0))
    bad = replace(other(PRODUCT), unroll=7)
    with pytest.raises(CpuError, match="unroll must divide"):
        compile_host(function, schedules=schedules_of(PRODUCT, bad))


def texts_of(graph, **options):
    """The loops of a network's layers."""
    kernels = {}
    program = HostNetwork(graph, kernels=kernels, **options)
    return [repr(function) for function, _ in kernels.values()], program


@pytest.mark.parametrize("residual", [False, True], ids=["alone", "residual"])
def test_a_schedule_of_integers_keeps_the_bytes(residual):
    graph = layer(residual=residual)
    sizes = replace(INTEGERS, outputs=5) if residual else INTEGERS
    inputs = random_input(np.random.default_rng(1), graph, 3)
    plain, _ = texts_of(graph)
    found, program = texts_of(graph, schedules=schedules_of(sizes))
    assert plain != found
    np.testing.assert_array_equal(program.run(inputs)["y"], graph.run(inputs)["y"])


def test_convolutions_with_a_pooling_keep_their_schedule():
    graph = layer(pool=Window((2, 2), (2, 2)))
    assert texts_of(graph)[0] == texts_of(graph, schedules=schedules_of(INTEGERS))[0]


def test_integers_refuse_what_does_not_fit():
    bad = replace(other(INTEGERS), columns=6)
    with pytest.raises(CpuError, match=re.escape("columns must be from 1 to 5")):
        HostNetwork(layer(), schedules=schedules_of(INTEGERS, bad))
