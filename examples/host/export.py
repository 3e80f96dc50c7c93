"""A product of matrices for C and C++: header, object file and shared library.

    python examples/host/export.py FOLDER
    cc -IFOLDER examples/host/product.c FOLDER/product.o -lm -lpthread -o product
    c++ -IFOLDER examples/host/product.cpp -LFOLDER -lproduct -Wl,-rpath,FOLDER -o product

The schedule copies a panel of b so that it lies dense, and keeps tiles of results in registers.
"""

import sys
from pathlib import Path

from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import CacheRead, ComputeAt, Parallel, Reorder, Split, Vectorise
from tilewright.compiler.targets.cpu.export import write_header, write_library, write_object
from tilewright.compiler.targets.cpu.tensorise import Tensorise
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.stmt import PrimFunc

ROWS, DEPTH, COLUMNS = 30, 50, 70
TILE_ROWS, TILE_COLUMNS = 6, 32


def product() -> PrimFunc:
    """c [30, 70] = a [30, 50] · b [50, 70], float32."""
    a = te.placeholder((ROWS, DEPTH), DType.FLOAT32, "a")
    b = te.placeholder((DEPTH, COLUMNS), DType.FLOAT32, "b")
    k = te.reduce_axis(DEPTH, "k")
    c = te.compute((ROWS, COLUMNS), lambda i, j: te.sum_of(a[i, k] * b[k, j], k), "c")
    steps = [
        Split("c_i", TILE_ROWS, "tile", "i"),
        Split("c_j", TILE_COLUMNS, "panel", "j"),
        Reorder(("panel", "tile", "i", "c_k", "j")),
        CacheRead("c", "b", MemoryScope.GLOBAL, "near"),
        ComputeAt("near", "panel"),
        Vectorise("near_1"),
        Tensorise("i", "fma"),
        Parallel("tile"),
    ]
    return schedule.apply(te.lower("product", [a, b], [c]), steps)


def main() -> int:
    """The command."""
    folder = Path(sys.argv[1])
    write_header(folder / "product.h", [product()])
    write_object(folder / "product.o", [product()])
    write_library(folder / "libproduct.so", [product()])
    return 0


if __name__ == "__main__":
    sys.exit(main())
