"""Products of matrices: float32, or uint8 by int8 with exact sums in int32."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler import schedule
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import (
    CacheRead,
    ComputeAt,
    Parallel,
    Primitive,
    Reorder,
    Split,
    StorageAlign,
    Vectorise,
)
from tilewright.compiler.targets.cpu.contraction import DOT, FMA, GROUP
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.operator.layout import aligned
from tilewright.compiler.targets.cpu.operator.register_tile import product_lanes, rows_at_once
from tilewright.compiler.targets.cpu.tensorise import Tensorise
from tilewright.compiler.te import Tensor, cast, compute, lower, placeholder, reduce_axis, select, sum_of
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.expr import Expr
from tilewright.compiler.tir.stmt import PrimFunc

DEPTH_BLOCK = 512
"""Steps of a float reduction between visits of the results: rows of both operands stay in the first cache."""
ROW_BLOCK = 16
"""Tiles of rows that pass one panel: what they read stays in the second cache."""
LEAST_ROW_BLOCK, PARTS = 4, 16
"""Fewer tiles read panels too often; parts for threads to share, so that they end at one time."""
PAGE_ROW, ODD_LINES = 32, 16
"""Rows of a copied block are an odd number of half lines apart, so that they do not meet in one set."""


@dataclass(frozen=True, kw_only=True)
class MatmulSizes:
    """c [rows, columns] = a [rows, depth] · b [depth, columns].

    Members:
        rows, depth, columns: sizes.
        is_float: float32; else a is uint8, b int8 and c int32.
    """

    rows: int
    depth: int
    columns: int
    is_float: bool

    @property
    def steps(self) -> int:
        """Steps of the reduction: groups of four for integers."""
        return self.depth if self.is_float else -(-self.depth // GROUP)


def matmul(name: str, sizes: MatmulSizes, features: Features) -> PrimFunc:
    """The scheduled loops: a, b as `column_panels` packs it -> c."""
    lanes = product_lanes(sizes.columns, sizes.is_float, features)
    panels = -(-sizes.columns // lanes)
    c = _float_sums(sizes, panels, lanes) if sizes.is_float else _integer_sums(sizes, panels, lanes)
    inputs = {tensor.name: tensor for tensor in _placeholders(c)}
    function = lower(name, [inputs["a"], inputs["b"]], [c])
    rows = rows_at_once(lanes, sizes.is_float, features)
    steps = _float_steps(sizes, rows, lanes) if sizes.is_float else _integer_steps(sizes, rows, lanes)
    return schedule.apply(function, steps)


def column_panels(b: NDArray[Any], lanes: int) -> NDArray[Any]:
    """b [depth, columns] as [panels, steps, lanes(, 4)], zeros behind."""
    group = 1 if b.dtype == np.float32 else GROUP
    steps, panels = -(-len(b) // group), -(-b.shape[1] // lanes)
    whole = np.zeros((steps * group, panels * lanes), b.dtype)
    whole[: len(b), : b.shape[1]] = b
    parts = whole.reshape(steps, group, panels, lanes).transpose(2, 0, 3, 1)
    return aligned(parts[..., 0] if group == 1 else parts)


def _placeholders(c: Tensor) -> list[Tensor]:
    from tilewright.compiler.te.graph import stages
    from tilewright.compiler.te.stage import PlaceholderOp

    return [stage.tensors[0] for stage in stages([c]) if isinstance(stage, PlaceholderOp)]


def _float_sums(sizes: MatmulSizes, panels: int, lanes: int) -> Tensor:
    a = placeholder((sizes.rows, sizes.depth), DType.FLOAT32, "a")
    b = placeholder((panels, sizes.depth, lanes), DType.FLOAT32, "b")
    k = reduce_axis(sizes.depth, "k")
    shape = (sizes.rows, sizes.columns)
    return compute(shape, lambda i, j: sum_of(a[i, k] * b[j // lanes, k, j % lanes], k), "c")


def _integer_sums(sizes: MatmulSizes, panels: int, lanes: int) -> Tensor:
    """Where the depth is no multiple of four, rows of a are copied with zeros behind."""
    a = placeholder((sizes.rows, sizes.depth), DType.UINT8, "a")
    b = placeholder((panels, sizes.steps, lanes, GROUP), DType.INT8, "b")
    k, q = reduce_axis(sizes.steps, "k"), reduce_axis(GROUP, "q")
    rows = a
    if sizes.depth % GROUP:
        shape = (sizes.rows, sizes.steps * GROUP)
        rows = compute(shape, lambda i, d: select(d < sizes.depth, a[i, d], 0), "whole")

    def total(i: Expr, j: Expr) -> Expr:
        left, right = rows[i, k * GROUP + q], b[j // lanes, k, j % lanes, q]
        return sum_of(cast(left, DType.INT32) * cast(right, DType.INT32), (k, q))

    return compute((sizes.rows, sizes.columns), total, "c")


def _float_steps(sizes: MatmulSizes, rows: int, lanes: int) -> list[Primitive]:
    """Blocks of rows outside, for threads; in each, blocks of the depth, copied, pass all panels."""
    tiles = -(-sizes.rows // rows)
    tiles = min(ROW_BLOCK, max(LEAST_ROW_BLOCK, -(-tiles // PARTS)))
    return [
        Split("c_i", rows * tiles, "block", "row"),
        Split("row", rows, "tile", "i"),
        Split("c_j", lanes, "panel", "j"),
        Split("c_k", DEPTH_BLOCK, "depth", "k"),
        Reorder(("block", "depth", "panel", "tile", "i", "k", "j")),
        CacheRead("c", "a", MemoryScope.GLOBAL, "near"),
        ComputeAt("near", "depth"),
        Vectorise("near_1"),
        StorageAlign("near", 0, PAGE_ROW, ODD_LINES),
        Tensorise("i", FMA),
        Parallel("block"),
    ]


def _integer_steps(sizes: MatmulSizes, rows: int, lanes: int) -> list[Primitive]:
    """Blocks of rows pass all panels; the whole depth at once, so that results are written once."""
    padded = [Vectorise("whole_d"), Parallel("whole_i")] if sizes.depth % GROUP else []
    return [
        *padded,
        Split("c_i", rows * ROW_BLOCK, "block", "row"),
        Split("row", rows, "tile", "i"),
        Split("c_j", lanes, "panel", "j"),
        Reorder(("block", "panel", "tile", "i", "c_k", "j", "c_q")),
        Tensorise("i", DOT),
        Parallel("panel"),
    ]
