"""A matrix product, scheduled step by step, on the host and on the accelerator.

    python examples/tutorial/matmul.py [--device rtl] [--cpu]

Prints what each step of docs/tutorial.md takes; every result is compared with numpy's. With `--cpu` it times
the steps for the host, too.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from functools import cache

import numpy as np
from measure import Measured, Problem, measure, table

from tilewright.cli.table import format_table
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
    Unroll,
    Vectorise,
    VirtualThread,
    apply,
)
from tilewright.compiler.targets.accel.build import build
from tilewright.compiler.targets.accel.cost.problem import BlockedConvolution
from tilewright.compiler.targets.accel.operator.convolution import ConvolutionNest
from tilewright.compiler.targets.accel.operator.schedule import convolution_schedule
from tilewright.compiler.targets.accel.tiling import choose
from tilewright.compiler.targets.cpu.kernel import compile_function
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.stmt import PrimFunc
from tilewright.isa.config import PRESETS
from tilewright.numerics.requantise import pack_scale, requantise
from tilewright.runtime.sim_device import SimDevice

INT8, INT32 = DType.INT8, DType.INT32
TINY = PRESETS["tiny"]
M, N, K, LANES = 64, 16, 128, TINY.cols


# --- what is computed --------------------------------------------------------------------------------------


def product(m: int, n: int, k: int, lanes: int) -> PrimFunc:
    """result = requantise(a · b): int8 times int8, summed up in int32, scaled back to int8."""
    a = te.placeholder((k // lanes, m, lanes), INT8, "a")
    b = te.placeholder((n // lanes, k // lanes, lanes, lanes), INT8, "b")
    scale = te.placeholder((n // lanes, 1, lanes), INT32, "scale")
    i, r = te.reduce_axis(k // lanes, "i"), te.reduce_axis(lanes, "r")

    def total(o, y, c):
        return te.sum_of(te.cast(a[i, y, r], INT32) * te.cast(b[o, i, r, c], INT32), (i, r))

    def value(o, y, c):
        return te.cast(te.clamp(te.requantise(sums[o, y, c], scale[o, 0, c]), -128, 127), INT8)

    sums = te.compute((n // lanes, m, lanes), total, "sums")
    result = te.compute(sums.shape, value, "result")
    return te.lower("product", [a, b, scale], [result])


PRODUCT = product(M, N, K, LANES)


def problem(m: int, n: int, k: int, lanes: int) -> Problem:
    """Random operands in the layouts of `product`, and numpy's result in its layout."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(-128, 128, (m, k), np.int8), rng.integers(-128, 128, (k, n), np.int8)
    scale = np.full(n, pack_scale(92000, 11), np.int32)
    result = np.clip(requantise(a.astype(np.int32) @ b.astype(np.int32), scale), -128, 127).astype(np.int8)
    inputs = {
        "a": a.reshape(m, k // lanes, lanes).swapaxes(0, 1),
        "b": b.reshape(k // lanes, lanes, n // lanes, lanes).transpose(2, 0, 1, 3),
        "scale": scale.reshape(n // lanes, 1, lanes),
    }
    return Problem(TINY, m * n * k, inputs, result.reshape(m, n // lanes, lanes).swapaxes(0, 1))


PROBLEM = problem(M, N, K, LANES)

# --- on the host -------------------------------------------------------------------------------------------

ON_THE_HOST = (
    Split("sums_y", 8, "yo", "yi"),
    Reorder(("sums_o", "yo", "sums_i", "sums_r", "yi", "sums_c")),
    Unroll("yi"),
    Vectorise("sums_c"),
    Vectorise("result_c"),
)


def on_the_host(schedule: Sequence[Primitive], size: int = 256, lanes: int = 16) -> float:
    """Seconds of a product of square matrices compiled for this machine: the best of a few."""
    square = problem(size, size, size, lanes)
    kernel = compile_function(apply(product(size, size, size, lanes), schedule))
    arrays = [np.ascontiguousarray(array) for array in square.inputs.values()]
    result, seconds = np.empty(square.expected.shape, np.int8), []
    for _ in range(7):
        begun = time.perf_counter()
        kernel(*arrays, result)
        seconds.append(time.perf_counter() - begun)
    assert np.array_equal(result, square.expected), "the schedule must not change the result"
    return min(seconds)


# --- on the accelerator ------------------------------------------------------------------------------------


def tiles(rows: int, blocks: int) -> tuple[Primitive, ...]:
    """Tiles of `rows` results in one block of lanes; the sum in reduction tiles of `blocks` blocks."""
    return (
        # Results leave through a tile on the chip.
        CacheWrite("result", MemoryScope.ACTIVATION, "tile"),
        Split("tile_y", rows, "yo", "yi"),
        Reorder(("yo", "tile_o", "yi", "tile_c")),
        # Both stages are computed where a tile needs them, the sums in the accumulators.
        ComputeAt("result", "tile_o"),
        ComputeAt("sums", "tile_o"),
        SetScope("sums", MemoryScope.ACCUMULATOR),
        # The outer loop `io` over the reduction tiles stays a loop, the rest becomes one instruction.
        Split("sums_i", blocks, "io", "ii"),
        Reorder(("io", "sums_o", "sums_y", "ii", "sums_r", "sums_c")),
        # The operands of a reduction tile are loaded for it, the scales for a tile.
        CacheRead("sums", "a", MemoryScope.ACTIVATION, "rows"),
        ComputeAt("rows", "io"),
        CacheRead("sums", "b", MemoryScope.WEIGHT, "weights"),
        ComputeAt("weights", "io"),
        CacheRead("result", "scale", MemoryScope.PARAMETER, "scales"),
        ComputeAt("scales", "tile_o"),
    )


SMALLEST = tiles(rows=4, blocks=1)
LARGER = tiles(rows=32, blocks=8)


def run(schedule: Sequence[Primitive]) -> tuple[np.ndarray, int]:
    """The product on the simulator: its result, and the cycles that it took."""
    kernel = build(apply(PRODUCT, schedule), TINY)
    ran = kernel.run(SimDevice(TINY), PROBLEM.inputs)
    return ran.outputs["result"], ran.result.cycles


def buffer_depths(rows: int, others: int) -> tuple[Primitive, ...]:
    """The number of instances of each buffer that exist at a time."""
    return (
        BufferDepth("rows", rows),
        *(BufferDepth(buffer, others) for buffer in ("weights", "scales", "sums", "tile")),
    )


DOUBLE_BUFFERED = (*LARGER, *buffer_depths(2, 2))

THREADS = (Split("tile_o", 2, "og", "oi"), VirtualThread("oi"))
WITH_THREADS = (*LARGER, *buffer_depths(2, 4), *THREADS)

SHORTER_REDUCTIONS = (*tiles(rows=32, blocks=4), *buffer_depths(4, 4), *THREADS)

STEPS = {
    "smallest tiles": SMALLEST,
    "larger tiles": LARGER,
    "double buffering": DOUBLE_BUFFERED,
    "virtual threads": WITH_THREADS,
    "shorter reductions": SHORTER_REDUCTIONS,
}


def default(device: str = "sim") -> Measured:
    """The product as a convolution of 1 x 1 taps, scheduled as the compiler schedules a layer."""
    blocks_in, blocks_out, height, width = K // LANES, N // LANES, 8, M // 8
    sizes = BlockedConvolution(
        out_blocks=blocks_out, out_height=height, out_width=width, in_blocks=blocks_in, kernel=(1, 1)
    )
    nest = ConvolutionNest(
        sizes=sizes,
        height=height,
        width=width,
        pads=(0, 0),
        input_zero_point=0,
        zero_point=0,
        lo=-128,
        hi=127,
    )
    schedule = convolution_schedule(choose(sizes, TINY), pooled=False, residual=False)
    bias = np.zeros((blocks_out, 1, LANES), np.int32)
    inputs = {
        "x": PROBLEM.inputs["a"].reshape(blocks_in, height, width, LANES),
        "weight": PROBLEM.inputs["b"].reshape(blocks_out, 1, 1, 1, blocks_in, LANES, LANES),
        "parameters": np.concatenate([bias, PROBLEM.inputs["scale"]], axis=1),
    }
    return measure(apply(nest.program("layer", TINY).lower(), schedule), PROBLEM, inputs, device)


def step(name: str, device: str = "sim") -> Measured:
    """A step of `STEPS`."""
    return _step(name, device)


@cache
def _step(name: str, device: str) -> Measured:
    return measure(apply(PRODUCT, STEPS[name]), PROBLEM, on=device)


def every_step(device: str = "sim") -> dict[str, Measured]:
    """The steps in their order, and the compiler's own."""
    return {name: step(name, device) for name in STEPS} | {"the compiler's own": default(device)}


def host_table() -> str:
    """Speeds of both host schedules."""
    rows = []
    for name, schedule in (("as written", ()), ("scheduled", ON_THE_HOST)):
        rows.append((name, f"{2 * 256**3 / on_the_host(schedule) / 1e9:.1f}"))
    return format_table(("on the host", "GOP/s"), rows)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("sim", "rtl"), default="sim", help="default: %(default)s")
    parser.add_argument("--cpu", action="store_true", help="time the steps for the host, too")
    options = parser.parse_args()
    if options.cpu:
        print(f"{host_table()}\n")
    print(table(every_step(options.device)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
