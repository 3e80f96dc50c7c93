"""Schedules of convolutions: every point that fits gives the operator's answer, and others say why not."""

from dataclasses import replace

import numpy as np
import pytest
from tests.compiler.targets.cpu.test_convolution import SHAPES
from tests.compiler.targets.cpu.test_micro_kernel import HOSTS

from tilewright.compiler.ops.primitive.conv import Conv
from tilewright.compiler.ops.quantised.convolution import ConvolutionGeometry
from tilewright.compiler.ops.quantised.requantised import finish
from tilewright.compiler.targets.cpu.codegen import emit_module
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.feature import DotInstruction, Features
from tilewright.compiler.targets.cpu.kernel import compile_function
from tilewright.compiler.targets.cpu.machine import HostMachine
from tilewright.compiler.targets.cpu.operator.convolution_rule import (
    ConvolutionRules,
    check_schedule,
    columns_of,
)
from tilewright.compiler.targets.cpu.operator.convolution_schedule import (
    ConvolutionSchedule,
    Copy,
    Order,
    Threads,
    convolution_key,
)
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.targets.cpu.operator.convolution_space import (
    convolution_space,
    default_schedule,
    point_of,
    schedule_of,
)
from tilewright.compiler.targets.cpu.operator.layer import float_layer, integer_layer
from tilewright.compiler.targets.cpu.operator.layout import starts, weight_panels
from tilewright.compiler.tir.printer import print_function
from tilewright.numerics.requantise import pack_scale

QUICK = ("tails", "dilations", "pixels")
POINTS = 3
MACHINES = {
    DotInstruction.AMX: "+avx2,+avx512f,+avx512bw,+avx512vl,+avx512vnni,+amx-tile,+amx-int8",
    DotInstruction.AVX512_VNNI: "+avx2,+avx512f,+avx512bw,+avx512vl,+avx512vnni",
    DotInstruction.AVX_VNNI: "+avx,+avx2,+avxvnni",
    DotInstruction.AVX2: "+avx,+avx2,+fma",
    DotInstruction.PLAIN: "",
}
ODD = ConvolutionSizes(height=9, width=10, channels=64, outputs=70, kernel=(3, 3), pads=(1, 1, 1, 1))


def machine_of(dot):
    """A machine of a kind, to write code for."""
    return HostMachine("x86_64-unknown-linux-gnu", "x86-64", MACHINES[dot])


@pytest.fixture(params=[DotInstruction.AVX2, pytest.param(DotInstruction.PLAIN, marks=pytest.mark.slow)])
def host(request):
    machine = HostMachine.host().without(*HOSTS[request.param])
    if Features.of(machine).dot is not request.param:
        pytest.skip(f"this host has no {request.param}")
    return machine


class Layer:
    """A convolution with its data and its answer."""

    def __init__(self, sizes, seed=0):
        rng = np.random.default_rng(seed)
        shapes = (sizes.height, sizes.width, sizes.channels), (sizes.outputs, sizes.channels, *sizes.kernel)
        self.sizes = sizes
        if sizes.is_float:
            self.x, self.weight = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
            self.bias = rng.normal(size=sizes.outputs).astype(np.float32)
            (total,) = Conv(sizes.strides, sizes.pads, sizes.dilations).run(self._x, self.weight)
            self.answer = total[0].transpose(1, 2, 0) + self.bias
            return
        self.x, self.weight = (rng.integers(-128, 128, shape, np.int8) for shape in shapes)
        self.bias = rng.integers(-(2**15), 2**15, sizes.outputs, np.int32)
        scale = pack_scale(rng.integers(1 << 16, 1 << 17, sizes.outputs), rng.integers(3, 8, sizes.outputs))
        self.scale = scale.astype(np.int32)
        geometry = ConvolutionGeometry(sizes.strides, sizes.pads, sizes.dilations, 1)
        total = geometry.run(self._x, self.weight, sizes.zero_point)
        result = finish(total, self.bias[:, None, None], scale[:, None, None], 3, -100, 90)
        self.answer = result[0].transpose(1, 2, 0)

    @property
    def _x(self):
        return self.x.transpose(2, 0, 1)[None]

    def function(self, features, schedule):
        if self.sizes.is_float:
            return float_layer("layer", self.sizes, features, schedule)
        return integer_layer("layer", self.sizes, features, 3, -100, 90, schedule)

    def check(self, machine, schedule):
        """The answer of a schedule: to the bit, or nearly."""
        sizes, function = self.sizes, self.function(Features.of(machine), schedule)
        inputs = {"x": self.x.reshape(sizes.height, -1), "bias": self.bias}
        inputs["weight"] = weight_panels(self.weight, sizes, schedule.lanes)
        if not sizes.is_float:
            inputs |= {"start": starts(self.weight, schedule.lanes), "scale": self.scale}
        found = compile_function(function, contract=True, machine=machine, keep=False).run(inputs)["result"]
        if sizes.is_float:
            np.testing.assert_allclose(found, self.answer, atol=1e-4, err_msg=str(schedule))
        else:
            np.testing.assert_array_equal(found, self.answer, err_msg=str(schedule))


def sizes_of(shape, is_float):
    return ConvolutionSizes(**SHAPES[shape], is_float=is_float, zero_point=0 if is_float else -7)


@pytest.mark.parametrize("is_float", [True, False], ids=["float32", "int8"])
@pytest.mark.parametrize(
    "shape", [s if s in QUICK else pytest.param(s, marks=pytest.mark.slow) for s in SHAPES]
)
def test_points_that_fit_give_the_answer_of_the_operator(host, shape, is_float):
    sizes = sizes_of(shape, is_float)
    layer, space = Layer(sizes), convolution_space(sizes, Features.of(host), is_shared=True)
    for point in space.points(space.sample(np.random.default_rng(len(shape)), POINTS)):
        layer.check(host, schedule_of(point))


@pytest.mark.parametrize("is_float", [True, False], ids=["float32", "int8"])
@pytest.mark.parametrize("order", [Order.ROWS, Order.PANELS])
def test_sums_that_are_visited_again_and_again_are_the_same(order, is_float):
    """A row of the kernel in parts, its columns apart where they are dilated, and the last tiles smaller."""
    sizes = replace(ODD, height=3, width=6, dilations=(1, 2), kernel=(2, 2), outputs=20, is_float=is_float)
    schedule = ConvolutionSchedule(
        rows=1,
        columns=3,
        lanes=16,
        order=order,
        copy=Copy.WHOLE,
        threads=Threads.BOTH,
        depth=sizes.taps[2] // 4,
        unroll=2,
    )
    assert schedule.depth * 4 * 4 == sizes.steps
    Layer(sizes).check(HostMachine.host(), schedule)


@pytest.mark.parametrize("is_float", [True, False], ids=["float32", "int8"])
@pytest.mark.parametrize("dot", MACHINES)
def test_points_that_fit_can_be_written_for_every_kind_of_host(dot, is_float):
    machine = machine_of(dot)
    features, sizes = Features.of(machine), replace(ODD, is_float=is_float)
    assert features.dot is dot
    layer, space = (
        Layer(replace(sizes, height=3, width=3)),
        convolution_space(sizes, features, is_shared=True),
    )
    layer.sizes = sizes
    for point in space.points(space.sample(np.random.default_rng(1), 1)):
        function = layer.function(features, schedule_of(point))
        assert str(emit_module([function], contract=True, parallel=True, machine=machine))


@pytest.mark.parametrize("is_float", [True, False], ids=["float32", "int8"])
@pytest.mark.parametrize("dot", MACHINES)
@pytest.mark.parametrize("shape", [*SHAPES, "large"])
def test_the_default_is_in_the_space_and_is_what_is_taken(shape, dot, is_float):
    features = Features.of(machine_of(dot))
    large = ConvolutionSizes(height=28, width=28, channels=128, outputs=128, kernel=(3, 3), pads=(1, 1, 1, 1))
    sizes = replace(large if shape == "large" else sizes_of(shape, is_float), is_float=is_float)
    for is_shared in (True, False):
        default = default_schedule(sizes, features, is_shared=is_shared)
        space = convolution_space(sizes, features, is_shared=is_shared)
        assert space.refuse(point_of(default)) is None
        assert (default.threads is Threads.NONE) != is_shared


def test_no_schedule_is_the_default():
    features, layer = Features.of(machine_of(DotInstruction.AVX2)), Layer(ODD)
    default = ConvolutionSchedule.default(ODD, features)
    texts = {print_function(layer.function(features, schedule)) for schedule in (None, default)}
    assert len(texts) == 1
    other = layer.function(features, replace(default, lanes=8))
    assert print_function(other) not in texts


def test_spaces_have_about_a_thousand_points():
    features = Features.of(machine_of(DotInstruction.AVX2))
    for is_float, height in ((True, 14), (False, 14), (True, 28), (False, 28)):
        sizes = replace(ODD, height=height, width=height, outputs=128, is_float=is_float)
        assert 800 < len(convolution_space(sizes, features, is_shared=False).all_that_fit()) < 2000


def test_points_and_schedules_are_each_others_inverse():
    space = convolution_space(ODD, Features(), is_shared=True)
    points = space.points(space.sample(np.random.default_rng(2), 50))
    assert [point_of(schedule_of(point)) for point in points] == points


@pytest.mark.parametrize("dot", MACHINES)
def test_rules_hold_of_many_as_of_one(dot):
    """And what is refused says why."""
    features = Features.of(machine_of(dot))
    space, rules = convolution_space(ODD, features, is_shared=False), ConvolutionRules(ODD, features, False)
    positions = space.positions(np.random.default_rng(3).integers(0, space.size, 200))
    fits = space.fits(space.columns(positions))
    for point, fitting in zip(space.points(positions), fits, strict=True):
        assert bool(rules.reasons(schedule_of(point))) != fitting
        assert (space.refuse(point) is None) == fitting


BROKEN = {
    "rows": ({"rows": 0}, "rows must be from 1 to 9"),
    "columns": ({"rows": 1, "columns": 11}, "columns must be from 1 to 10"),
    "lanes": ({"lanes": 12}, "lanes must be a multiple of 8 up to 72"),
    "more lanes than outputs": ({"lanes": 80}, "lanes must be a multiple of 8 up to 72"),
    "registers": ({"rows": 4, "columns": 4}, "registers must hold the sums"),
    "copy": ({"copy": Copy.NONE}, "copy must not be none"),
    "slice of panels": ({"order": Order.PANELS, "copy": Copy.SLICE}, "slice where panels are outside"),
    "slice of both": ({"threads": Threads.BOTH, "copy": Copy.SLICE}, "slice where threads share both"),
    "depth": ({"depth": 31}, "depth must be 144 or divide 48"),
    "no depth": ({"depth": 0}, "depth must be 144 or divide 48"),
    "depth of tiles": ({"order": Order.TILES, "depth": 48}, "depth must be 144 where panels"),
    "unroll": ({"unroll": 5}, "unroll must divide depth"),
    "no unroll": ({"unroll": 0}, "unroll must divide depth"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_breaks_a_rule_is_refused_with_the_reason(case):
    changes, reason = BROKEN[case]
    features = Features.of(machine_of(DotInstruction.AVX2))
    good = replace(ConvolutionSchedule.default(ODD, features), copy=Copy.WHOLE, order=Order.ROWS)
    check_schedule(good, ODD, features)
    with pytest.raises(CpuError, match=reason):
        check_schedule(replace(good, **changes), ODD, features)


def test_all_reasons_come_at_once():
    features = Features.of(machine_of(DotInstruction.AVX2))
    bad = replace(ConvolutionSchedule.default(ODD, features), lanes=12, depth=31, unroll=0)
    with pytest.raises(CpuError, match=r"lanes must .*; depth must .*; unroll must "):
        check_schedule(bad, ODD, features)


def test_tile_registers_have_rules_of_their_own():
    features = Features.of(machine_of(DotInstruction.AMX))
    bad = replace(ConvolutionSchedule.default(ODD, features), rows=3, columns=1, unroll=2)
    reasons = "; ".join(ConvolutionRules(ODD, features).reasons(bad))
    assert "rows must be at most 2 on tile registers; unroll must be 1 on tile registers" in reasons


def test_an_input_that_is_not_copied_is_read_where_it_lies():
    sizes = replace(sizes_of("pixels", True))
    features = Features.of(machine_of(DotInstruction.AVX2))
    default = ConvolutionSchedule.default(sizes, features)
    read, copied = (
        print_function(
            float_layer("layer", sizes, features, replace(default, copy=copy, threads=Threads.NONE))
        )
        for copy in (Copy.NONE, Copy.WHOLE)
    )
    assert "padded" in copied
    assert "padded" not in read


def test_columns_of_words_are_places():
    default = ConvolutionSchedule.default(ODD, Features())
    columns = columns_of(replace(default, order=Order.TILES, copy=Copy.SLICE, threads=Threads.BOTH))
    assert [int(columns[name][0]) for name in ("order", "copy", "threads", "lanes")] == [
        2,
        1,
        2,
        default.lanes,
    ]


def test_keys_tell_all_sizes_but_the_padding():
    key = convolution_key(ODD, is_shared=True)
    assert key == convolution_key(replace(ODD, zero_point=5), is_shared=True)
    others = [
        {"is_float": True},
        {"strides": (2, 1)},
        {"pads": (0, 1, 1, 1)},
        {"outputs": 71},
        {"kernel": (3, 1)},
    ]
    keys = {convolution_key(replace(ODD, **other), is_shared=True) for other in others}
    assert len(keys | {key, convolution_key(ODD, is_shared=False)}) == len(others) + 2
