"""Products of matrices compiled for the host, beside numpy: one thread, float32 and int8.

    python bench/cpu_gemm.py [--size 512] [--repeats 15]

Both run in turns in one process; prints medians. The int8 product sums in int32, which numpy has no fast
product for: there the peer is its product in float32.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable

# Read when numpy is imported: one thread, as the compiled product has.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from tilewright.cli.table import format_table
from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import CacheRead, ComputeAt, Primitive, Reorder, Split, Unroll, Vectorise
from tilewright.compiler.targets.cpu.kernel import Kernel, compile_function
from tilewright.compiler.tir.buffer import Scope
from tilewright.compiler.tir.stmt import Function

ROWS, COLUMNS = 8, 32
"""Of the tile of results that stays in registers."""


def product(size: int, dtype: DType, sum_type: DType) -> Function:
    """c = a · b, square: tiles of results stay in registers, a panel of b is copied so that it lies dense."""
    a, b = (te.placeholder((size, size), dtype, name) for name in "ab")
    k = te.reduce_axis(size, "k")

    def element(i: te.Axis, j: te.Axis) -> object:
        return te.sum_of(te.cast(a[i, k], sum_type) * te.cast(b[k, j], sum_type), k)

    function = te.lower("product", [a, b], [te.compute((size, size), element, "c")])
    steps: list[Primitive] = [
        Split("c_i", ROWS, "io", "ii"),
        Split("c_j", COLUMNS, "jo", "ji"),
        Reorder(("jo", "io", "c_k", "ii", "ji")),
        Unroll("ii"),
        Vectorise("ji"),
        CacheRead("c", "b", Scope.GLOBAL, "panel"),
        ComputeAt("panel", "jo"),
    ]
    return schedule.apply(function, steps)


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(
    kernel: Kernel, arrays: list[np.ndarray], peer: list[np.ndarray], repeats: int
) -> tuple[float, float]:
    """Median seconds of the kernel and of numpy, in turns."""
    times = [(seconds(lambda: kernel(*arrays)), seconds(lambda: peer[0] @ peer[1])) for _ in range(repeats)]
    return statistics.median(t for t, _ in times), statistics.median(t for _, t in times)


def main() -> int:
    """The command: 0 if the products are right."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=512, help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=15, help="default: %(default)s")
    options = parser.parse_args()
    n, rng = options.size, np.random.default_rng(0)
    header = ["type", "compiled, GOP/s", "numpy float32, GOP/s", "compile, s"]
    rows, right = [], True
    for dtype, sum_type in ((DType.FLOAT32, DType.FLOAT32), (DType.INT8, DType.INT32)):
        a, b = (rng.integers(-9, 9, (n, n)).astype(dtype.numpy) for _ in range(2))
        start = time.perf_counter()
        kernel = compile_function(product(n, dtype, sum_type), contract=True)
        compile_seconds = time.perf_counter() - start
        c, peer = np.empty((n, n), sum_type.numpy), [x.astype(np.float32) for x in (a, b)]
        ours, theirs = measure(kernel, [a, b, c], peer, options.repeats)
        right &= bool((c == (peer[0] @ peer[1])).all())
        speeds = [f"{2 * n**3 / t / 1e9:.1f}" for t in (ours, theirs)]
        rows.append([dtype.value, *speeds, f"{compile_seconds:.2f}"])
    print(format_table(header, rows))
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
