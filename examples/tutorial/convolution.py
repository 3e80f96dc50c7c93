"""A convolution, scheduled step by step on the accelerator.

    python examples/tutorial/convolution.py [--device rtl]

Prints what each step of docs/tutorial.md takes; every result is compared with numpy's.
"""

import argparse
import sys
from functools import cache

import numpy as np
from measure import Measured, Problem, measure, table

from tilewright.compiler import te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import (
    BufferDepth,
    CacheRead,
    CacheWrite,
    ComputeAt,
    Primitive,
    Reorder,
    SetScope,
    Split,
    apply,
)
from tilewright.compiler.targets.accel.cost.problem import BlockedConvolution
from tilewright.compiler.targets.accel.operator.convolution import ConvolutionNest
from tilewright.compiler.targets.accel.operator.schedule import convolution_schedule
from tilewright.compiler.targets.accel.tiling import choose
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.stmt import PrimFunc
from tilewright.isa.config import PRESETS
from tilewright.numerics.requantise import pack_scale, requantise

INT8, INT32 = DType.INT8, DType.INT32
TINY = PRESETS["tiny"]
LANES = TINY.cols
BLOCKS_IN, BLOCKS_OUT, HEIGHT, WIDTH, TAPS = 2, 4, 12, 12, 3
"""8 channels to 16, of 12 x 12 pixels, by 3 x 3 taps."""


def convolution() -> PrimFunc:
    """result = requantise(feature_map * w), with a border of zeros."""
    feature_map = te.placeholder((BLOCKS_IN, HEIGHT, WIDTH, LANES), INT8, "feature_map")
    w = te.placeholder((BLOCKS_OUT, TAPS, TAPS, BLOCKS_IN, LANES, LANES), INT8, "w")
    scale = te.placeholder((BLOCKS_OUT, 1, LANES), INT32, "scale")
    ky, kx = te.reduce_axis(TAPS, "ky"), te.reduce_axis(TAPS, "kx")
    i, r = te.reduce_axis(BLOCKS_IN, "i"), te.reduce_axis(LANES, "r")

    def pixel(b, y, x, c):
        inside = te.both([y >= 1, y < HEIGHT + 1, x >= 1, x < WIDTH + 1])
        return te.select(inside, feature_map[b, y - 1, x - 1, c], 0)

    def total(o, y, x, c):
        product = te.cast(padded[i, y + ky, x + kx, r], INT32) * te.cast(w[o, ky, kx, i, r, c], INT32)
        return te.sum_of(product, (ky, kx, i, r))

    def value(o, y, x, c):
        return te.cast(te.clamp(te.requantise(sums[o, y, x, c], scale[o, 0, c]), -128, 127), INT8)

    padded = te.compute((BLOCKS_IN, HEIGHT + 2, WIDTH + 2, LANES), pixel, "padded")
    sums = te.compute((BLOCKS_OUT, HEIGHT, WIDTH, LANES), total, "sums")
    result = te.compute(sums.shape, value, "result")
    return te.lower("convolution", [feature_map, w, scale], [result])


CONVOLUTION = convolution()


def problem() -> Problem:
    """Random operands in the layouts of `convolution`, and numpy's result."""
    rng = np.random.default_rng(0)
    feature_map = rng.integers(-128, 128, (BLOCKS_IN, HEIGHT, WIDTH, LANES), np.int8)
    w = rng.integers(-128, 128, (BLOCKS_OUT, TAPS, TAPS, BLOCKS_IN, LANES, LANES), np.int8)
    scale = np.full((BLOCKS_OUT, 1, LANES), pack_scale(92000, 11), np.int32)
    padded = np.pad(feature_map, ((0, 0), (1, 1), (1, 1), (0, 0))).astype(np.int32)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (TAPS, TAPS), (1, 2))
    sums = np.einsum("iyxrkl,oklirc->oyxc", windows, w.astype(np.int32), optimize=True)
    scaled = requantise(sums, scale[:, :, None, :])
    result = np.clip(scaled, -128, 127).astype(np.int8)
    return Problem(
        TINY, sums.size * w[0, ..., 0].size, {"feature_map": feature_map, "w": w, "scale": scale}, result
    )


PROBLEM = problem()


def tiles(height: int, taps: int) -> tuple[Primitive, ...]:
    """Tiles of `height` rows of results in one block of lanes; `taps` x `taps` of the kernel at a time."""
    return (
        CacheWrite("result", MemoryScope.ACTIVATION, "tile"),
        Split("tile_y", height, "yo", "yi"),
        Reorder(("yo", "tile_o", "yi", "tile_x", "tile_c")),
        ComputeAt("result", "tile_o"),
        ComputeAt("sums", "tile_o"),
        SetScope("sums", MemoryScope.ACCUMULATOR),
        Split("sums_ky", taps, "kyo", "kyi"),
        Split("sums_kx", taps, "kxo", "kxi"),
        Reorder(("kyo", "kxo", "sums_o", "sums_y", "sums_x", "kyi", "kxi", "sums_i", "sums_r", "sums_c")),
        # The padded feature map is never stored: the part that the taps need is loaded, border and all.
        ComputeAt("padded", "kxo"),
        SetScope("padded", MemoryScope.ACTIVATION),
        CacheRead("sums", "w", MemoryScope.WEIGHT, "weights"),
        ComputeAt("weights", "kxo"),
        CacheRead("result", "scale", MemoryScope.PARAMETER, "scales"),
        ComputeAt("scales", "tile_o"),
    )


def buffer_depths(count: int) -> tuple[Primitive, ...]:
    """The number of instances of each buffer that exist at a time."""
    return tuple(BufferDepth(buffer, count) for buffer in ("padded", "weights", "scales", "sums", "tile"))


STEPS = {
    "tap by tap": tiles(height=4, taps=1),
    "whole kernel": tiles(height=4, taps=3),
    "double buffering": (*tiles(height=4, taps=3), *buffer_depths(2)),
    "smaller tiles": (*tiles(height=2, taps=3), *buffer_depths(3)),
}


def default(device: str = "sim") -> Measured:
    """The same, scheduled as the compiler schedules a layer."""
    sizes = BlockedConvolution(
        out_blocks=BLOCKS_OUT,
        out_height=HEIGHT,
        out_width=WIDTH,
        in_blocks=BLOCKS_IN,
        kernel=(TAPS, TAPS),
    )
    nest = ConvolutionNest(
        sizes=sizes,
        height=HEIGHT,
        width=WIDTH,
        pads=(1, 1),
        input_zero_point=0,
        zero_point=0,
        lo=-128,
        hi=127,
    )
    bias = np.zeros((BLOCKS_OUT, 1, LANES), np.int32)
    inputs = {
        "x": PROBLEM.inputs["feature_map"],
        "weight": PROBLEM.inputs["w"][:, None],
        "parameters": np.concatenate([bias, PROBLEM.inputs["scale"]], axis=1),
    }
    schedule = convolution_schedule(choose(sizes, TINY), pooled=False, residual=False)
    return measure(apply(nest.program("layer", TINY).lower(), schedule), PROBLEM, inputs, device)


def step(name: str, device: str = "sim") -> Measured:
    """A step of `STEPS`."""
    return _step(name, device)


@cache
def _step(name: str, device: str) -> Measured:
    return measure(apply(CONVOLUTION, STEPS[name]), PROBLEM, on=device)


def every_step(device: str = "sim") -> dict[str, Measured]:
    """The steps in their order, and the compiler's own."""
    return {name: step(name, device) for name in STEPS} | {"the compiler's own": default(device)}


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("sim", "rtl"), default="sim", help="default: %(default)s")
    print(table(every_step(parser.parse_args().device)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
