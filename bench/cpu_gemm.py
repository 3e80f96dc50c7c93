"""Products of matrices compiled for the host, beside ONNX Runtime and numpy: float32, and uint8 by int8.

    python bench/cpu_gemm.py [--sizes 512,1024] [--threads 1] [--types float32,int8] [--repeats 15]

All run in turns in one process, with the right operand constant and packed before; prints medians. The peers
are MatMul and MatMulInteger, and numpy on one thread, which has no fast product of integers. ONNX Runtime is
measured with its default kernels, which on CPUs with AVX2 and no VNNI saturate sums of int8 and are faster
than its exact ones (`session.x64quantprecision`).
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from typing import Any

# Read when numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from turns import Call, median_seconds

from tilewright.cli.table import format_table
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.kernel import compile_function
from tilewright.compiler.targets.cpu.machine import HostMachine
from tilewright.compiler.targets.cpu.operator.layout import aligned, aligned_empty
from tilewright.compiler.targets.cpu.operator.matmul import column_panels, matmul
from tilewright.compiler.targets.cpu.operator.matmul_sizes import MatmulSizes
from tilewright.compiler.targets.cpu.operator.register_tile import product_lanes

Array = NDArray[Any]
FLOAT, INT8 = TYPES = ("float32", "int8")


def operands(size: int, dtype: str) -> tuple[Array, Array]:
    """Two square matrices."""
    rng = np.random.default_rng(0)
    if dtype == FLOAT:
        a, b = (rng.normal(size=(size, size)).astype(np.float32) for _ in range(2))
    else:
        a = rng.integers(0, 256, (size, size), np.uint8)
        b = rng.integers(-128, 128, (size, size), np.int8)
    return aligned(a), b


def ours(a: Array, b: Array, threads: int) -> tuple[Call, Array, float]:
    """A call, where its result will be, and seconds to compile."""
    is_float, features = a.dtype == np.float32, Features.of(HostMachine.host())
    sizes = MatmulSizes(rows=len(a), depth=len(b), columns=b.shape[1], is_float=is_float)
    begun = time.perf_counter()
    kernel = compile_function(matmul("product", sizes, features), contract=True, parallel=threads > 1)
    took = time.perf_counter() - begun
    panels = column_panels(b, product_lanes(sizes.columns, is_float, features))
    c = aligned_empty((len(a), b.shape[1]), np.float32 if is_float else np.int32)
    return kernel.prepared(a, panels, c), c, took


def runtime(a: Array, b: Array, threads: int) -> Call:
    """A call of ONNX Runtime."""
    is_float = a.dtype == np.float32
    types = (TensorProto.FLOAT,) * 2 if is_float else (TensorProto.UINT8, TensorProto.INT32)
    x, y = (
        helper.make_tensor_value_info(name, of, shape)
        for name, of, shape in zip("ac", types, (a.shape, (len(a), b.shape[1])), strict=True)
    )
    node = helper.make_node("MatMul" if is_float else "MatMulInteger", ["a", "b"], ["c"])
    graph = helper.make_graph([node], "product", [x], [y], [numpy_helper.from_array(b, "b")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return lambda: session.run(None, {"a": a})


def measure(size: int, dtype: str, threads: int, repeats: int) -> tuple[list[str], float, bool]:
    """A row of the table, the ratio to ONNX Runtime, whether the product is right."""
    a, b = operands(size, dtype)
    call, c, took = ours(a, b, threads)
    calls = [call, runtime(a, b, threads)]
    if dtype == FLOAT and threads == 1:
        calls.append(lambda: a @ b)
    medians = median_seconds(calls, threads, repeats)
    wide = np.float64
    right = np.allclose(c, a.astype(wide) @ b.astype(wide), atol=0 if dtype == INT8 else 1e-2)
    speeds = [f"{2 * size**3 / median / 1e9:.0f}" for median in medians]
    speeds += ["-"] * (3 - len(speeds))
    ratio = medians[1] / medians[0]
    return [dtype, str(threads), str(size), *speeds, f"{ratio:.2f}", f"{took:.2f}", str(right)], ratio, right


def main() -> int:
    """The command: 0 if the products are right."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="512,1024,2048", help="default: %(default)s")
    parser.add_argument("--threads", default="1,2", help="default: %(default)s")
    parser.add_argument("--types", default=",".join(TYPES), help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=15, help="default: %(default)s")
    options = parser.parse_args()
    header = [
        "type",
        "threads",
        "size",
        "ours, GOP/s",
        "ONNX Runtime",
        "numpy",
        "ratio",
        "compile, s",
        "right",
    ]
    rows, ratios, fine = [], [], True
    # Code from the cache would take no time to compile.
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        for dtype in options.types.split(","):
            for threads in map(int, options.threads.split(",")):
                for size in map(int, options.sizes.split(",")):
                    row, ratio, right = measure(size, dtype, threads, options.repeats)
                    rows.append(row)
                    ratios.append(ratio)
                    fine &= right
    print(format_table(header, rows))
    print(f"geometric mean of the ratios: {statistics.geometric_mean(ratios):.2f}")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
