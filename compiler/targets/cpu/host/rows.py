"""Kernels of rows: reductions over the last axes, and what is computed of them, in one loop over rows.

Softmax and norms are such: values between live in a row at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Equation, Value
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.cast import Cast
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.reduce import Reduce
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.schedule import ComputeAt, Parallel, Primitive, Reorder, Vectorise
from tilewright.compiler.targets.cpu.host.buffer_view import BufferView
from tilewright.compiler.targets.cpu.host.express import is_expressible
from tilewright.compiler.targets.cpu.host.fusion import REDUCTIONS, Fusion
from tilewright.compiler.targets.cpu.host.template import (
    PARALLEL_ELEMENTS,
    PARTS,
    KernelSpec,
    Reader,
    is_in_parts,
    joined_at,
    kernel_spec,
    moved,
    part_at,
    reduction_at,
)
from tilewright.compiler.te import Tensor, cast
from tilewright.compiler.te.tensor import ComputeOp
from tilewright.compiler.tir.expr import Expr

ROW_ELEMENTS = 1 << 14
"""A row that stays in a cache."""


@dataclass(frozen=True)
class RowGroup:
    """Values that one kernel computes.

    Members:
        root: the result.
        members: the values that are computed before it in each row, in order.
        outer: the number of axes of the loop over rows.
    """

    root: Value
    members: tuple[Value, ...]
    outer: int


class RowFinder:
    """Finds kernels that can be one, row by row.

    Args:
        fusion: which kernels there are.
        strict: values that must lie in memory.
    """

    def __init__(self, fusion: Fusion, strict: set[Value]) -> None:
        self._fusion, self._function, self._strict = fusion, fusion.function, strict
        self._positions = {
            value: position
            for position, equation in enumerate(self._function.equations)
            for value in equation.results
        }
        self._reads = {
            value: dict(self._leaves(value)) for value in self._positions if value in fusion.materialised
        }
        self._readers: dict[Value, set[Value]] = {}
        for reader, leaves in self._reads.items():
            for leaf in leaves:
                self._readers.setdefault(leaf, set()).add(reader)

    def all(self) -> dict[Value, RowGroup]:
        """Groups by their roots; no value is in two."""
        found: dict[Value, RowGroup] = {}
        taken: set[Value] = set()
        for equation in reversed(self._function.equations):
            for root in equation.results:
                rows = None if root in taken else self._rows(root)
                if rows is not None and taken.isdisjoint(rows.members):
                    found[root] = rows
                    taken.update(rows.members)
        return found

    def _rows(self, root: Value) -> RowGroup | None:
        if root not in self._fusion.materialised or not self._is_map(root) or 0 in root.type.numbers:
            return None
        depths = [self._depth(leaf, root) for leaf in self._reads[root]]
        outer = next((depth for depth in depths if depth is not None), None)
        if outer is None or prod(root.type.numbers[outer:]) > ROW_ELEMENTS:
            return None
        members: set[Value] = set()
        while True:
            around = {root, *members}
            leaves = {leaf for value in around for leaf in self._reads[value]} - around
            new = {leaf for leaf in leaves if self._fits(leaf, root, outer, around)}
            if not new:
                break
            members |= new
        ordered = sorted(members, key=lambda value: self._positions[value])
        return RowGroup(root, tuple(ordered), outer) if any(map(self._reduction, members)) else None

    def _fits(self, value: Value, root: Value, outer: int, around: set[Value]) -> bool:
        """Whether a value can be computed in a row: all that read it do so in the same row."""
        if value not in self._positions or value in self._strict or not self._readers[value] <= around:
            return False
        if not all(self._reads[reader][value] for reader in self._readers[value]):
            return False
        if self._is_map(value):
            return value.type.numbers == root.type.numbers
        return self._depth(value, root) == outer

    def _is_map(self, value: Value) -> bool:
        equation = self._function.producers.get(value)
        return (
            equation is not None
            and is_expressible(equation.operator)
            and value not in self._fusion.reductions
        )

    def _reduction(self, value: Value) -> Equation | None:
        """The reduction of a kernel."""
        equation = self._function.producers.get(self._fusion.reductions.get(value, value))
        return equation if equation is not None and isinstance(equation.operator, Reduce) else None

    def _depth(self, value: Value, root: Value) -> int | None:
        """The first axis that a kernel reduces, if it reduces all from there on of what is like the root."""
        reduction = self._reduction(value)
        if reduction is None:
            return None
        axes, x = reduction.operator.axes, reduction.operands[0]  # type: ignore[attr-defined]
        is_last = bool(axes) and axes == tuple(range(axes[0], x.type.rank))
        return axes[0] if is_last and x.type.numbers == root.type.numbers else None

    def _leaves(self, value: Value) -> Iterator[tuple[Value, bool]]:
        """The values in memory that a kernel reads, and whether each is read in its own row alone."""
        found: dict[Value, bool] = {}
        pending = [(value, True)]
        while pending:
            each, is_local = pending.pop()
            if each is not value and (
                each in self._fusion.materialised or each not in self._function.producers
            ):
                found[each] = found.get(each, True) and is_local
                continue
            equation = self._function.producers[each]
            if not isinstance(equation.operator, Constant):
                keeps = is_local and _keeps_rows(equation)
                pending += [(operand, keeps) for operand in equation.operands]
        yield from found.items()


def _keeps_rows(equation: Equation) -> bool:
    """Whether a row of the result is made of the same row of the operands."""
    operator = equation.operator
    if isinstance(operator, Map | Cast):
        return True
    if isinstance(operator, Reduce):
        return operator.axes == tuple(range(equation.result.type.rank, equation.operands[0].type.rank))
    if isinstance(operator, Broadcast):
        return operator.axes == tuple(range(len(operator.axes)))
    if isinstance(operator, Reshape):
        # Axes of one element behind all others come or go.
        one, other = (_without_last(each.type.numbers) for each in (equation.operands[0], equation.result))
        return one == other
    return False


def _without_last(sizes: tuple[int, ...]) -> tuple[int, ...]:
    while sizes and sizes[-1] == 1:
        sizes = sizes[:-1]
    return sizes


def rows_kernel(reader: Reader, fusion: Fusion, rows: RowGroup, result: BufferView) -> KernelSpec:
    """All values of a group; only the root lies in memory when it is done."""
    builder, stages = reader.builder, list[Tensor]()
    for number, value in enumerate(rows.members):
        reduction = fusion.function.producers[fusion.reductions.get(value, value)]
        if isinstance(reduction.operator, REDUCTIONS):
            stages += _reduction_stages(reader, reduction, f"reduced{number}")
        if value != reduction.result or not isinstance(reduction.operator, REDUCTIONS):
            stages.append(_staged(reader, value, f"row{number}"))
    rank = rows.root.type.rank

    def element(*indices: Expr) -> Expr:
        return reader.element(rows.root, moved(indices, result.axes, rank))

    out = builder.stage("out", result.shape, element)
    outer = sum(axis < rows.outer for axis in result.axes)
    return kernel_spec(builder, out, _steps(stages, out, outer))


def _axes(value: Value) -> tuple[int, ...]:
    return tuple(axis for axis, size in enumerate(value.type.numbers) if size != 1)


def _reduction_stages(reader: Reader, reduction: Equation, name: str) -> list[Tensor]:
    """The stage of a reduction; before it that of its parts, where it has such."""
    value, axes = reduction.result, _axes(reduction.result)
    shape = tuple(value.type.numbers[axis] for axis in axes)
    stages: list[Tensor] = []

    def part(*indices: Expr) -> Expr:
        *own, number = indices
        return part_at(reduction, moved(own, axes, value.type.rank), number, reader.element)

    def total(*indices: Expr) -> Expr:
        at = moved(indices, axes, value.type.rank)
        if stages:
            return joined_at(reduction, at, lambda number: stages[0][(*indices, number)], reader.element)
        return reduction_at(reduction, at, reader.element)

    if is_in_parts(reduction):
        stages.append(reader.builder.stage(f"{name}_parts", (*shape, PARTS), part))
    stages.append(reader.builder.stage(name, shape, total))
    reader.fixed[value] = lambda at: cast(stages[-1][tuple(at[axis] for axis in axes)], value.type.dtype)
    return stages


def _staged(reader: Reader, value: Value, name: str) -> Tensor:
    """The stage of a map."""
    axes = _axes(value)

    def element(*indices: Expr) -> Expr:
        return reader.element(value, moved(indices, axes, value.type.rank))

    stage = reader.builder.stage(name, tuple(value.type.numbers[axis] for axis in axes), element)
    reader.fixed[value] = lambda at: stage[tuple(at[axis] for axis in axes)]
    return stage


def _steps(stages: list[Tensor], out: Tensor, outer: int) -> list[Primitive]:
    steps: list[Primitive] = []
    if outer:
        steps += [ComputeAt(stage.stage.name, f"out_i{outer - 1}") for stage in reversed(stages)]
    for stage in (*stages, out):
        if len(stage.shape) > outer:
            lanes = f"{stage.stage.name}_i{len(stage.shape) - 1}"
            if isinstance(stage.stage, ComputeOp) and stage.stage.reduce_axes:
                reductions = [f"{stage.stage.name}_{axis.name}" for axis in stage.stage.reduce_axes]
                steps.append(Reorder((*reductions, lanes)))
            steps.append(Vectorise(lanes))
    if outer and prod(out.shape) >= PARALLEL_ELEMENTS // 8:
        steps.append(Parallel("out_i0"))
    return steps
