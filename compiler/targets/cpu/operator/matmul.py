"""Products of matrices: float32, or uint8 by int8 with exact sums in int32."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import apply
from tilewright.compiler.targets.cpu.contraction import GROUP
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.operator.layout import aligned
from tilewright.compiler.targets.cpu.operator.matmul_schedule import MatmulSchedule, check_matmul, is_copied
from tilewright.compiler.targets.cpu.operator.matmul_sizes import MatmulSizes
from tilewright.compiler.te import Tensor, cast, compute, lower, placeholder, reduce_axis, select, sum_of
from tilewright.compiler.tir.expr import Expr
from tilewright.compiler.tir.stmt import PrimFunc


def matmul(
    name: str, sizes: MatmulSizes, features: Features, schedule: MatmulSchedule | None = None
) -> PrimFunc:
    """The scheduled loops: a, b as `column_panels` packs it with the lanes of the schedule -> c.

    Args:
        name: of the function.
        sizes: of the product.
        features: of the machine.
        schedule: of the loops; None for `MatmulSchedule.default`.

    Raises:
        CpuError: if the sizes or the machine do not allow the schedule.
    """
    if schedule is None:
        schedule = MatmulSchedule.default(sizes, features)
    else:
        check_matmul(schedule, sizes, features)
    panels = -(-sizes.columns // schedule.lanes)
    sums = _float_sums if sizes.is_float else _integer_sums
    c = sums(sizes, panels, schedule.lanes, features)
    inputs = {tensor.name: tensor for tensor in _placeholders(c)}
    function = lower(name, [inputs["a"], inputs["b"]], [c])
    return apply(function, schedule.steps(sizes, features))


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


def _float_sums(sizes: MatmulSizes, panels: int, lanes: int, features: Features) -> Tensor:
    a = placeholder((sizes.rows, sizes.depth), DType.FLOAT32, "a")
    b = placeholder((panels, sizes.depth, lanes), DType.FLOAT32, "b")
    k = reduce_axis(sizes.depth, "k")
    shape = (sizes.rows, sizes.columns)
    return compute(shape, lambda i, j: sum_of(a[i, k] * b[j // lanes, k, j % lanes], k), "c")


def _integer_sums(sizes: MatmulSizes, panels: int, lanes: int, features: Features) -> Tensor:
    """Where the depth is no multiple of four, or a is widened, its rows are copied, with zeros behind."""
    a = placeholder((sizes.rows, sizes.depth), DType.UINT8, "a")
    b = placeholder((panels, sizes.steps, lanes, GROUP), DType.INT8, "b")
    k, q = reduce_axis(sizes.steps, "k"), reduce_axis(GROUP, "q")
    rows = a
    if is_copied(sizes, features):
        dtype = DType.INT16 if features.pairs_shorts else DType.UINT8
        shape = (sizes.rows, sizes.steps * GROUP)
        rows = compute(shape, lambda i, d: cast(select(d < sizes.depth, a[i, d], 0), dtype), "whole")

    def total(i: Expr, j: Expr) -> Expr:
        left, right = rows[i, k * GROUP + q], b[j // lanes, k, j % lanes, q]
        return sum_of(cast(left, DType.INT32) * cast(right, DType.INT32), (k, q))

    return compute((sizes.rows, sizes.columns), total, "c")
