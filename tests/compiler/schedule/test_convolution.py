import numpy as np
import pytest

from te_convolution import Convolution, accumulated, padded, random_inputs, reference, tensors
from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import (
    BufferDepth,
    CacheRead,
    CacheWrite,
    ComputeAt,
    Reorder,
    ReverseComputeAt,
    SetScope,
    Split,
)
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.printer import print_buffer, print_function
from tilewright.compiler.tir.stmt import Allocate
from tilewright.compiler.tir.walk import statements

SIZES = [
    Convolution(),
    Convolution(height=8, width=8, kernel=(1, 1), pad=(0, 0), blocks_in=2),
    Convolution(blocks_in=2, rows=2, stride=(2, 1), kernel=(3, 2), dilation=(1, 2)),
    Convolution(stride=(2, 2), blocks_in=3, height=11),
]


def steps(tile_y, tile_x, reduction_tile):
    """A schedule for the accelerator: output tiles, blocks of channels, reduction tiles of input channels."""
    return (
        Split("out_y", tile_y, "yo", "yi"),
        Split("out_x", tile_x, "xo", "xi"),
        Reorder(("yo", "xo", "out_o", "yi", "xi", "out_c")),
        CacheWrite("out", MemoryScope.ACTIVATION, "result"),
        ReverseComputeAt("result", "out_o"),
        ComputeAt("acc", "out_o"),
        SetScope("acc", MemoryScope.ACCUMULATOR),
        Split("acc_ci", reduction_tile, "co", "ci"),
        Reorder(("co", "acc_o", "acc_y", "acc_x", "acc_c", "acc_ky", "acc_kx", "ci", "acc_r")),
        CacheRead("acc", "w", MemoryScope.WEIGHT, "weights"),
        ComputeAt("weights", "co"),
        SetScope("xp", MemoryScope.ACTIVATION),
        ComputeAt("xp", "co"),
        CacheRead("out", "params", MemoryScope.PARAMETER, "vectors"),
        ComputeAt("vectors", "out_o"),
        BufferDepth("weights", 2),
        BufferDepth("xp", 2),
        BufferDepth("acc", 2),
        BufferDepth("result", 2),
    )


def check(function, conv, arrays):
    np.testing.assert_array_equal(run(function, arrays)["out"], reference(conv, arrays))


@pytest.mark.parametrize("tile", [(3, 5), (100, 100)])
@pytest.mark.parametrize("conv", SIZES)
def test_schedule_keeps_the_numbers(conv, tile):
    inputs, out = tensors(conv)
    reduction_tile = conv.lanes // conv.rows
    check(
        schedule.apply(te.lower("conv", inputs, [out]), steps(*tile, reduction_tile)),
        conv,
        random_inputs(conv),
    )


def test_every_step_keeps_the_numbers():
    conv = SIZES[2]
    inputs, out = tensors(conv)
    function = te.lower("conv", inputs, [out])
    for step in steps(2, 4, reduction_tile=2):
        function = schedule.apply(function, [step])
        check(function, conv, random_inputs(conv))


def test_buffers_hold_what_a_tile_needs_and_no_more():
    inputs, out = tensors(SIZES[2])
    function = schedule.apply(te.lower("conv", inputs, [out]), steps(3, 4, reduction_tile=2))
    text = {print_buffer(stmt.buffer) for stmt in statements(function.body) if isinstance(stmt, Allocate)}
    tile_y, tile_x = "min(3, 4 - 3 * yo)", "min(4, 9 - 4 * xo)"
    assert text == {
        "vectors: int32[1, 2, 4] parameter",
        f"acc: int32[1, {tile_y}, {tile_x}, 4] accumulator x2",
        f"result: int8[1, {tile_y}, {tile_x}, 4] activation x2",
        f"xp: int8[1, 2 * {tile_y} + 1, {tile_x} + 2, 4] activation x2",
        "weights: int8[1, 3, 2, 2, 2, 4] weight x2",
    }


def test_schedule_prints_and_parses_back():
    text = schedule.print_schedule(steps(3, 4, 2))
    assert text.startswith("split loop=out_y factor=3 outer=yo inner=yi\n")
    assert schedule.parse_schedule(text + "\n\n  # a remark\n") == steps(3, 4, 2)


def test_maximum_of_a_window_is_one_element_of_a_lane():
    x = te.placeholder((2, 9, 8, 4), DType.INT8, "x")
    py, px = te.reduce_axis(3, "py"), te.reduce_axis(3, "px")

    def border(z, y, x_, c):
        inside = te.both([y >= 1, y < 10, x_ >= 1, x_ < 9])
        return te.select(inside, x[z, y - 1, x_ - 1, c], -128)

    xp = te.compute((2, 11, 10, 4), border, "xp")
    pool = te.compute(
        (2, 5, 4, 4), lambda z, y, x, c: te.max_of(xp[z, 2 * y + py, 2 * x + px, c], [py, px]), "pool"
    )
    out = te.compute((2, 5, 4, 4), lambda z, y, x, c: pool[z, y, x, c] * 2, "out")
    function = te.lower("pool", [x], [out])
    arrays = {"x": np.random.default_rng(0).integers(-128, 128, (2, 9, 8, 4), np.int8)}
    plan = (
        Split("out_y", 2, "yo", "yi"),
        Reorder(("yo", "out_z", "yi", "out_x", "out_c")),
        CacheWrite("out", MemoryScope.ACTIVATION, "result"),
        ReverseComputeAt("result", "out_z"),
        ComputeAt("pool", "out_c"),
        SetScope("pool", MemoryScope.LANE),
        ComputeAt("xp", "out_z"),
        SetScope("xp", MemoryScope.ACTIVATION),
    )
    scheduled = schedule.apply(function, plan)
    assert "allocate pool: int8[1, 1, 1, 1] lane" in print_function(scheduled)
    assert "allocate xp: int8[1, 2 * min(2, 5 - 2 * yo) + 1, 9, 4] activation" in print_function(scheduled)
    np.testing.assert_array_equal(run(scheduled, arrays)["out"], run(function, arrays)["out"])


def test_convolution_and_pooling_share_a_tile():
    conv = Convolution(height=9, width=12, blocks_in=2)
    x, w, params = tensors(conv)[0]
    acc = accumulated(conv, padded(conv, x), w)
    py, px = te.reduce_axis(3, "py"), te.reduce_axis(3, "px")

    def window(o, y, x, c):
        at_y, at_x = 2 * y + py - 1, 2 * x + px - 1
        inside = te.both([at_y >= 0, at_y < 9, at_x >= 0, at_x < 12])
        return te.max_of(te.select(inside, acc[o, at_y, at_x, c], -(2**31)), [py, px])

    def result(o, y, x, c):
        return te.cast(te.clamp(te.requantise(pool[o, y, x, c], params[o, 1, c]), -128, 127), DType.INT8)

    pool = te.compute((2, 5, 6, 4), window, "pool")
    function = te.lower("both", [x, w, params], [te.compute((2, 5, 6, 4), result, "out")])
    plan = steps(2, 4, 1)
    attach = plan.index(ComputeAt("acc", "out_o"))
    scheduled = schedule.apply(function, (*plan[:attach], ComputeAt("pool", "out_c"), *plan[attach:]))
    rows = "min(4 * yo + 2 * min(2, 5 - 2 * yo) - 1, 8) - max(4 * yo - 1, 0)"
    assert f"for acc_y in range({rows} + 1):" in print_function(scheduled)
    arrays = random_inputs(conv)
    np.testing.assert_array_equal(run(scheduled, arrays)["out"], run(function, arrays)["out"])
