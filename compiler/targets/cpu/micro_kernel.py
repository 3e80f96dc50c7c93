"""Micro-kernels in LLVM: the accumulators of a tile stay in registers while all reduction loops run.

A loop nest larger than the registers hold is cut into tiles that they hold; where its extents depend on loops
around, each size that occurs is written for itself.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import product as combinations
from typing import TYPE_CHECKING

from llvmlite import ir

from tilewright.compiler.dtype import INDEX, DType
from tilewright.compiler.targets.cpu.contraction import (
    DOT,
    Contraction,
    ContractionLoop,
    ContractionOperand,
    contraction_of,
)
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.feature import DotInstruction
from tilewright.compiler.targets.cpu.lane_kernel import lane_kernel
from tilewright.compiler.targets.cpu.lane_tile import LaneTile, RowOffsets, widened
from tilewright.compiler.targets.cpu.outline import outline
from tilewright.compiler.targets.cpu.tile_kernel import SIDE, Blocking, TileKernel, fits, runs
from tilewright.compiler.targets.cpu.type import INDEX_TYPE
from tilewright.compiler.targets.cpu.value import LaneValue, index
from tilewright.compiler.tir.bound import upper
from tilewright.compiler.tir.expr import Const, Expr
from tilewright.compiler.tir.simplify import simplify
from tilewright.compiler.tir.stmt import IntrinsicStmt, IterKind
from tilewright.compiler.tir.walk import constant, substitute, variables

if TYPE_CHECKING:
    from tilewright.compiler.targets.cpu.statement import StatementEmitter

Step = Callable[[ir.Value, ir.Value], None]
"""Writes a step of a reduction, given pointers to what it reads of a and b."""
SIZES_MAXIMUM = 4
"""Different extents of a loop nest that are written out."""
POINTS_MAXIMUM = 1 << 12
"""Iterations of the enclosing loops that are enumerated to find the extents that occur."""
SPARE_REGISTERS = 2
"""For what a step reads of `a`, and for a temporary."""


def write_micro_kernel(statements: "StatementEmitter", intrinsic: IntrinsicStmt) -> None:
    """The loop nest of a `dot` or `fma`.

    Raises:
        CpuError: if its extents are not known, or too many.
    """
    strides = statements.context.strides
    contraction = contraction_of(
        intrinsic.name, intrinsic.body, statements.domain, lambda buffer: strides[buffer.name]
    )
    axes = [*contraction.rows, contraction.lanes]
    if statements.features.dot is DotInstruction.AMX:
        axes += contraction.reductions
    extents = [axis.extent for axis in axes]
    _for_each_size(statements, extents, (), lambda sizes: _write(statements, _sized(contraction, sizes)))


def _write(statements: "StatementEmitter", contraction: Contraction) -> None:
    """A loop nest of known size: on tile registers in place, which keep their shapes, else as a function.

    There LLVM keeps nothing of what is around the loop nest in the registers that its accumulators fill.
    """
    if (tiles := _Tiles(statements, contraction)).are_registers:
        tiles.write_registers()
        return
    name = f"{statements.context.function.name}.{contraction.kind}"
    inner, captured = outline(statements.context, name, ())
    inner.function.attributes.add("noinline")
    _Tiles(replace(statements, context=inner), contraction).write()
    inner.close()
    statements.context.builder.call(inner.function, captured)


def _sized(contraction: Contraction, sizes: Sequence[int]) -> Contraction:
    """The loop nest with numbers for extents: of rows, lanes, and reduction loops as given."""
    numbers = iter(map(Const, sizes))
    rows = tuple(replace(axis, extent=next(numbers)) for axis in contraction.rows)
    lanes = replace(contraction.lanes, extent=next(numbers))
    reductions = tuple(replace(axis, extent=next(numbers, axis.extent)) for axis in contraction.reductions)
    return replace(contraction, rows=rows, lanes=lanes, reductions=reductions)


def _for_each_size(
    statements: "StatementEmitter",
    extents: Sequence[Expr],
    known: tuple[int, ...],
    write: Callable[[tuple[int, ...]], None],
) -> None:
    """Branch on extents that are not constant, to what is written for each of their values."""
    if not extents:
        write(known)
        return
    *others, last = _values(extents[0], statements.domain)
    builder = statements.context.builder
    with ExitStack() as branches:
        for value in others:
            extent = statements.scalar(extents[0])
            same = builder.icmp_signed("==", extent, ir.Constant(INDEX_TYPE, value))
            then, otherwise = branches.enter_context(builder.if_else(same))
            with then:
                _for_each_size(statements, extents[1:], (*known, value), write)
            branches.enter_context(otherwise)
        _for_each_size(statements, extents[1:], (*known, last), write)


def _values(extent: Expr, domain: Mapping[str, Expr]) -> list[int]:
    """The values of an extent in the loops around, the largest first."""
    number = constant(extent)
    if number is not None:
        return [number]
    names = [name for name in domain if name in variables(extent)]
    most = [upper(domain[name], domain) for name in names]
    point_count = 1
    for trips in most:
        point_count *= trips
    found: set[int | None] = set()
    if point_count <= POINTS_MAXIMUM:
        points = combinations(*map(range, most))
        found = {
            constant(simplify(substitute(extent, dict(zip(names, map(Const, point), strict=True)))))
            for point in points
        }
    sizes = sorted((size for size in found if size is not None and size > 0), reverse=True)
    if None in found or not 0 < len(sizes) <= SIZES_MAXIMUM:
        raise CpuError(
            f"a micro-kernel must have few sizes, not {len(sizes) or point_count}: "
            "split by a factor that divides"
        )
    return sizes


class _Tiles:
    """A loop nest of known size, tile after tile."""

    def __init__(self, statements: "StatementEmitter", contraction: Contraction) -> None:
        self._statements = statements
        self._context = statements.context
        self._contraction = contraction
        self._kernel = lane_kernel(
            contraction.c.buffer.dtype,
            statements.features,
            statements.contract,
            contraction.a.buffer.dtype,
        )
        self._lanes = _number(contraction.lanes)
        self._rows = list(_rows(contraction.rows))
        self._reductions = list(_merged(contraction.reductions))

    @property
    def are_registers(self) -> bool:
        """Whether the loop nest is done on the tile registers of AMX."""
        if (
            self._statements.features.dot is not DotInstruction.AMX
            or self._contraction.kind != DOT
            or self._contraction.a.buffer.dtype is not DType.UINT8
            or not self._reductions
        ):
            return False
        return fits(self._contraction, self._lanes, constant(self._reductions[-1].extent))

    def write(self) -> None:
        """All tiles, in registers of vectors."""
        vectors = -(-self._lanes // self._kernel.lanes)
        rows, columns = register_cut(len(self._rows), vectors, self._statements.features.registers)
        for column in range(0, vectors, columns):
            for row in range(0, len(self._rows), rows):
                self._tile(self._rows[row : row + rows], range(column, min(column + columns, vectors)))

    def write_registers(self) -> None:
        """All tiles, on tile registers."""
        steps = constant(self._reductions[-1].extent)
        assert steps is not None
        blocking, blocks = Blocking.of(steps), runs(self._rows)
        for column in range(0, self._lanes // SIDE, 2):
            columns = range(column, min(column + 2, self._lanes // SIDE))
            for row in range(0, len(blocks), blocking.rows):
                self._tile_registers(blocking, blocks[row : row + blocking.rows], columns)

    def _tile_registers(self, blocking: Blocking, rows: list[list[RowOffsets]], columns: range) -> None:
        with self._context.bound({name: index(0) for name in self._contraction.names}):
            a, b, c = (
                self._pointer(o) for o in (self._contraction.a, self._contraction.b, self._contraction.c)
            )
            tile = TileKernel(self._context.builder, blocking, rows, columns, c, self._context.tile_shapes())
            tile.configure()
            self._start(tile)
            self._reduction_loops(self._reductions[:-1], a, b, lambda a, b: self._reduction_tiles(tile, a, b))
            tile.store()

    def _reduction_tiles(self, tile: TileKernel, a: ir.Value, b: ir.Value) -> None:
        """The innermost reduction loop, a reduction tile at a time."""
        axis = self._reductions[-1]
        for part in tile.blocking.parts:
            reduction_tile = ContractionLoop(
                axis.name, Const(part.tiles), part.steps * axis.a, part.steps * axis.b, 0
            )
            pointers = self._moved(a, b, axis, index(part.first).ir)
            self._reduction_loops([reduction_tile], *pointers, partial(tile.step, part, axis))

    def _tile(self, rows: list[RowOffsets], columns: range) -> None:
        with self._context.bound({name: index(0) for name in self._contraction.names}):
            a, b, c = (
                self._pointer(o) for o in (self._contraction.a, self._contraction.b, self._contraction.c)
            )
            tile = LaneTile(self._context.builder, self._kernel, self._lanes, rows, columns, a, b, c)
            tile.accumulators = [self._context.on_stack(tile.accumulator_type) for _ in rows for _ in columns]
            self._start(tile)
            self._reduction_loops(self._reductions, a, b, tile.step)
            tile.store()

    def _pointer(self, operand: ContractionOperand) -> ir.Value:
        return self._statements.pointer(operand.buffer, operand.base)

    def _start(self, tile: LaneTile | TileKernel) -> None:
        """Load accumulators from memory, or the inits at the first step of the reduction."""
        block = self._contraction.block
        if not block.inits or block.name in self._statements.begun:
            tile.load()
            return
        builder = self._context.builder
        with builder.if_else(self._is_first()) as (then, otherwise):
            with then:
                self._fill(tile)
            with otherwise:
                tile.load()

    def _fill(self, tile: LaneTile | TileKernel) -> None:
        """The inits."""
        init = self._contraction.block.init
        assert init is not None
        if isinstance(tile, TileKernel) and isinstance(init.value, Const) and not init.value.value:
            tile.clear()
            return
        for column in tile.columns:
            count = min(self._kernel.lanes, self._lanes - column * self._kernel.lanes)
            start = self._init(column, count)
            if isinstance(tile, TileKernel):
                memory = self._context.on_stack(start.type)
                self._context.builder.store(start, memory)
                tile.fill(column, memory)
            else:
                tile.fill(column, start)

    def _is_first(self) -> ir.Value:
        builder, first = self._context.builder, ir.Constant(ir.IntType(1), 1)
        for it in self._contraction.block.iters:
            if it.kind is IterKind.REDUCE:
                value = self._statements.scalar(it.value)
                first = builder.and_(first, builder.icmp_signed("==", value, ir.Constant(INDEX_TYPE, 0)))
        return first

    def _init(self, column: int, count: int) -> ir.Value:
        """The initial values of a vector of accumulators, the same in all rows."""
        block, lane = self._contraction.block, self._contraction.lanes.name
        assert block.init is not None
        value, rows = block.init.value, {axis.name for axis in self._contraction.rows}
        inside = {it.var.name: it.value for it in block.iters}
        start_value = substitute(value, inside)
        if variables(start_value) & rows:
            raise CpuError(f"the init of {block.name} must be the same in all rows of a micro-kernel")
        base = LaneValue(ir.Constant(INDEX_TYPE, column * self._kernel.lanes), INDEX, 1)
        with self._context.bound({lane: base}, count):
            start = self._statements.lanes_of(start_value)
        return widened(self._context.builder, start, count, self._kernel.lanes)

    def _reduction_loops(
        self, reductions: Sequence[ContractionLoop], a: ir.Value, b: ir.Value, step: Step
    ) -> None:
        """The loops of the reduction around a step, the pointers moved by them."""
        if not reductions:
            step(a, b)
            return
        axis = reductions[0]
        if axis.is_unrolled and (steps := constant(axis.extent)) is not None:
            for number in range(steps):
                self._reduction_loops(reductions[1:], *self._moved(a, b, axis, index(number).ir), step)
            return
        zero, extent = ir.Constant(INDEX_TYPE, 0), self._statements.scalar(axis.extent)
        with self._statements.counted(zero, extent, axis.name) as at:
            self._reduction_loops(reductions[1:], *self._moved(a, b, axis, at), step)

    def _moved(
        self, a: ir.Value, b: ir.Value, axis: ContractionLoop, steps: ir.Value
    ) -> tuple[ir.Value, ir.Value]:
        """Both pointers after a number of steps of a loop."""
        builder, contraction = self._context.builder, self._contraction
        return (
            self._statements.moved(contraction.a.buffer, a, builder.mul(steps, index(axis.a).ir)),
            self._statements.moved(contraction.b.buffer, b, builder.mul(steps, index(axis.b).ir)),
        )


def _rows(axes: Sequence[ContractionLoop]) -> Iterator[RowOffsets]:
    for point in combinations(*(range(_number(axis)) for axis in axes)):
        steps = list(zip(point, axes, strict=True))
        yield RowOffsets(sum(at * axis.a for at, axis in steps), sum(at * axis.c for at, axis in steps))


def _number(axis: ContractionLoop) -> int:
    extent = constant(axis.extent)
    assert extent is not None, "sized before"
    return extent


def _merged(reductions: Sequence[ContractionLoop]) -> Iterator[ContractionLoop]:
    """The loops with one for each two neighbours that are one."""
    left = list(reductions)
    while left:
        axis = left.pop(0)
        if left and (one := _composed(axis, left[0])) is not None:
            left[0] = one
        else:
            yield axis


def _composed(outer: ContractionLoop, inner: ContractionLoop) -> ContractionLoop | None:
    """Both loops as one, if each step of the outer one is all steps of the inner one, which is a loop."""
    counts = constant(outer.extent), constant(inner.extent)
    if counts[0] is None or counts[1] is None or inner.is_unrolled or outer.is_unrolled:
        return None
    if (outer.a, outer.b) != (inner.a * counts[1], inner.b * counts[1]):
        return None
    return ContractionLoop(inner.name, Const(counts[0] * counts[1]), inner.a, inner.b, 0)


def register_cut(rows: int, vectors: int, registers: int) -> tuple[int, int]:
    """Rows and vectors of a tile that are in registers together.

    Those with the fewest reads for each product that split evenly.
    """
    choices = []
    for columns in range(1, vectors + 1):
        most = (registers - columns - SPARE_REGISTERS) // columns
        if most < 1:
            break
        parts = -(-rows // most)
        height = -(-rows // parts)
        choices.append(((height + columns) / (height * columns) * _uneven(vectors, columns), height, columns))
    return min(choices)[1:]


def _uneven(count: int, part: int) -> float:
    """By how much parts of that size are more than what is cut."""
    return -(-count // part) * part / count
