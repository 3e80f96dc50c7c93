"""Micro-kernels in LLVM: the sums of a tile in registers while all folds of the nest run.

A nest larger than the registers hold is cut into tiles that they hold; where its extents depend on loops
around, each size that occurs is written for itself.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import product as combinations
from typing import TYPE_CHECKING

from llvmlite import ir

from tilewright.compiler.dtype import INDEX
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.feature import Dot
from tilewright.compiler.targets.cpu.lane_kernel import lane_kernel
from tilewright.compiler.targets.cpu.lane_tile import LaneTile, Place, widened
from tilewright.compiler.targets.cpu.outline import outline
from tilewright.compiler.targets.cpu.product import DOT, Axis, Operand, Product, product_of
from tilewright.compiler.targets.cpu.tile_kernel import SIDE, Blocking, TileKernel, fits, runs
from tilewright.compiler.targets.cpu.type import INDEX_TYPE
from tilewright.compiler.targets.cpu.value import Value, index
from tilewright.compiler.tir.bound import upper
from tilewright.compiler.tir.expr import Const, Expr
from tilewright.compiler.tir.simplify import simplify
from tilewright.compiler.tir.stmt import IntrinsicStmt, IterKind
from tilewright.compiler.tir.walk import constant, substitute, variables

if TYPE_CHECKING:
    from tilewright.compiler.targets.cpu.statement import Statements

Step = Callable[[ir.Value, ir.Value], None]
"""Writes a step of a fold, given pointers to what it reads of a and b."""
SIZES_MAXIMUM = 4
"""Different extents of a nest that are written out."""
PLACES_MAXIMUM = 1 << 12
"""Of the loops around that are looked at for the extents that occur."""
SPARE_REGISTERS = 2
"""For what a step reads of `a`, and for a temporary."""


def write_micro_kernel(statements: "Statements", intrinsic: IntrinsicStmt) -> None:
    """The nest of a `dot` or `fma`.

    Raises:
        CpuError: if its extents are not known, or too many.
    """
    strides = statements.frame.strides
    product = product_of(
        intrinsic.name, intrinsic.body, statements.domain, lambda buffer: strides[buffer.name]
    )
    axes = [*product.rows, product.lanes]
    if statements.features.dot is Dot.AMX:
        axes += product.folds
    extents = [axis.extent for axis in axes]
    _for_each_size(statements, extents, (), lambda sizes: _write(statements, _sized(product, sizes)))


def _write(statements: "Statements", product: Product) -> None:
    """A nest of known size: on tile registers in place, which keep their shapes, else as a function.

    There LLVM keeps nothing of what is around the nest in the registers that its sums fill.
    """
    if (tiles := _Tiles(statements, product)).are_registers:
        tiles.write_registers()
        return
    name = f"{statements.frame.function.name}.{product.kind}"
    inner, captured = outline(statements.frame, name, ())
    inner.function.attributes.add("noinline")
    _Tiles(replace(statements, frame=inner), product).write()
    inner.close()
    statements.frame.builder.call(inner.function, captured)


def _sized(product: Product, sizes: Sequence[int]) -> Product:
    """The nest with numbers for extents: of the rows, the lanes, and the folds as far as they are given."""
    numbers = iter(map(Const, sizes))
    rows = tuple(replace(axis, extent=next(numbers)) for axis in product.rows)
    lanes = replace(product.lanes, extent=next(numbers))
    folds = tuple(replace(axis, extent=next(numbers, axis.extent)) for axis in product.folds)
    return replace(product, rows=rows, lanes=lanes, folds=folds)


def _for_each_size(
    statements: "Statements",
    extents: Sequence[Expr],
    known: tuple[int, ...],
    write: Callable[[tuple[int, ...]], None],
) -> None:
    """Branch on extents that are not constant, to what is written for each of their values."""
    if not extents:
        write(known)
        return
    *others, last = _values(extents[0], statements.domain)
    builder = statements.frame.builder
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
    places = 1
    for trips in most:
        places *= trips
    found: set[int | None] = set()
    if places <= PLACES_MAXIMUM:
        points = combinations(*map(range, most))
        found = {
            constant(simplify(substitute(extent, dict(zip(names, map(Const, point), strict=True)))))
            for point in points
        }
    sizes = sorted((size for size in found if size is not None and size > 0), reverse=True)
    if None in found or not 0 < len(sizes) <= SIZES_MAXIMUM:
        raise CpuError(
            f"a micro-kernel must have few sizes, not {len(sizes) or places}: split by a factor that divides"
        )
    return sizes


class _Tiles:
    """A nest of known size, tile after tile."""

    def __init__(self, statements: "Statements", product: Product) -> None:
        self._statements = statements
        self._frame = statements.frame
        self._product = product
        self._kernel = lane_kernel(product.c.buffer.dtype, statements.features, statements.contract)
        self._lanes = _number(product.lanes)
        self._rows = list(_rows(product.rows))
        self._folds = list(_merged(product.folds))

    @property
    def are_registers(self) -> bool:
        """Whether the nest is done on the tile registers of AMX."""
        if self._statements.features.dot is not Dot.AMX or self._product.kind != DOT or not self._folds:
            return False
        return fits(self._product, self._lanes, constant(self._folds[-1].extent))

    def write(self) -> None:
        """All tiles, in registers of vectors."""
        vectors = -(-self._lanes // self._kernel.lanes)
        rows, columns = _tile(len(self._rows), vectors, self._statements.features.registers)
        for column in range(0, vectors, columns):
            for row in range(0, len(self._rows), rows):
                self._tile(self._rows[row : row + rows], range(column, min(column + columns, vectors)))

    def write_registers(self) -> None:
        """All tiles, on tile registers."""
        steps = constant(self._folds[-1].extent)
        assert steps is not None
        blocking, blocks = Blocking.of(steps), runs(self._rows)
        for column in range(0, self._lanes // SIDE, 2):
            columns = range(column, min(column + 2, self._lanes // SIDE))
            for row in range(0, len(blocks), blocking.rows):
                self._tile_registers(blocking, blocks[row : row + blocking.rows], columns)

    def _tile_registers(self, blocking: Blocking, rows: list[list[Place]], columns: range) -> None:
        with self._frame.bound({name: index(0) for name in self._product.names}):
            a, b, c = (self._pointer(o) for o in (self._product.a, self._product.b, self._product.c))
            tile = TileKernel(self._frame.builder, blocking, rows, columns, c, self._frame.tile_shapes())
            tile.configure()
            self._start(tile)
            self._fold(self._folds[:-1], a, b, lambda a, b: self._chunks(tile, a, b))
            tile.store()

    def _chunks(self, tile: TileKernel, a: ir.Value, b: ir.Value) -> None:
        """The innermost fold, a chunk at a time."""
        axis = self._folds[-1]
        for part in tile.blocking.parts:
            chunk = Axis(axis.name, Const(part.chunks), part.steps * axis.a, part.steps * axis.b, 0)
            pointers = self._moved(a, b, axis, index(part.first).ir)
            self._fold([chunk], *pointers, partial(tile.step, part, axis))

    def _tile(self, rows: list[Place], columns: range) -> None:
        with self._frame.bound({name: index(0) for name in self._product.names}):
            a, b, c = (self._pointer(o) for o in (self._product.a, self._product.b, self._product.c))
            tile = LaneTile(self._frame.builder, self._kernel, self._lanes, rows, columns, a, b, c)
            tile.sums = [self._frame.on_stack(tile.sum_type) for _ in rows for _ in columns]
            self._start(tile)
            self._fold(self._folds, a, b, tile.step)
            tile.store()

    def _pointer(self, operand: Operand) -> ir.Value:
        return self._statements.pointer(operand.buffer, operand.base)

    def _start(self, tile: LaneTile | TileKernel) -> None:
        """Sums of memory, or the inits at the first step of the fold."""
        block = self._product.block
        if not block.inits or block.name in self._statements.begun:
            tile.load()
            return
        builder = self._frame.builder
        with builder.if_else(self._is_first()) as (then, otherwise):
            with then:
                self._fill(tile)
            with otherwise:
                tile.load()

    def _fill(self, tile: LaneTile | TileKernel) -> None:
        """The inits."""
        init = self._product.block.init
        assert init is not None
        if isinstance(tile, TileKernel) and isinstance(init.value, Const) and not init.value.value:
            tile.clear()
            return
        for column in tile.columns:
            count = min(self._kernel.lanes, self._lanes - column * self._kernel.lanes)
            start = self._init(column, count)
            if isinstance(tile, TileKernel):
                memory = self._frame.on_stack(start.type)
                self._frame.builder.store(start, memory)
                tile.fill(column, memory)
            else:
                tile.fill(column, start)

    def _is_first(self) -> ir.Value:
        builder, first = self._frame.builder, ir.Constant(ir.IntType(1), 1)
        for it in self._product.block.iters:
            if it.kind is IterKind.REDUCE:
                value = self._statements.scalar(it.value)
                first = builder.and_(first, builder.icmp_signed("==", value, ir.Constant(INDEX_TYPE, 0)))
        return first

    def _init(self, column: int, count: int) -> ir.Value:
        """What the sums of a vector start from; an init is the same in all rows or depends on them not."""
        block, lane = self._product.block, self._product.lanes.name
        assert block.init is not None
        value, rows = block.init.value, {axis.name for axis in self._product.rows}
        inside = {it.var.name: it.value for it in block.iters}
        placed = substitute(value, inside)
        if variables(placed) & rows:
            raise CpuError(f"the init of {block.name} must be the same in all rows of a micro-kernel")
        base = Value(ir.Constant(INDEX_TYPE, column * self._kernel.lanes), INDEX, 1)
        with self._frame.bound({lane: base}, count):
            start = self._statements.lanes_of(placed)
        return widened(self._frame.builder, start, count, self._kernel.lanes)

    def _fold(self, folds: Sequence[Axis], a: ir.Value, b: ir.Value, step: Step) -> None:
        """The loops of the fold around a step, the pointers moved by them."""
        if not folds:
            step(a, b)
            return
        axis = folds[0]
        zero, extent = ir.Constant(INDEX_TYPE, 0), self._statements.scalar(axis.extent)
        with self._statements.counted(zero, extent, axis.name) as at:
            self._fold(folds[1:], *self._moved(a, b, axis, at), step)

    def _moved(self, a: ir.Value, b: ir.Value, axis: Axis, steps: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Both pointers after so many steps of a loop."""
        builder, product = self._frame.builder, self._product
        return (
            self._statements.moved(product.a.buffer, a, builder.mul(steps, index(axis.a).ir)),
            self._statements.moved(product.b.buffer, b, builder.mul(steps, index(axis.b).ir)),
        )


def _rows(axes: Sequence[Axis]) -> Iterator[Place]:
    for point in combinations(*(range(_number(axis)) for axis in axes)):
        steps = list(zip(point, axes, strict=True))
        yield Place(sum(at * axis.a for at, axis in steps), sum(at * axis.c for at, axis in steps))


def _number(axis: Axis) -> int:
    extent = constant(axis.extent)
    assert extent is not None, "sized before"
    return extent


def _merged(folds: Sequence[Axis]) -> Iterator[Axis]:
    """The loops with one for each two neighbours that are one."""
    left = list(folds)
    while left:
        axis = left.pop(0)
        if left and (one := _composed(axis, left[0])) is not None:
            left[0] = one
        else:
            yield axis


def _composed(outer: Axis, inner: Axis) -> Axis | None:
    """Both loops as one, if each step of the outer one is all steps of the inner one."""
    counts = constant(outer.extent), constant(inner.extent)
    if counts[0] is None or counts[1] is None:
        return None
    if (outer.a, outer.b) != (inner.a * counts[1], inner.b * counts[1]):
        return None
    return Axis(inner.name, Const(counts[0] * counts[1]), inner.a, inner.b, 0)


def _tile(rows: int, vectors: int, registers: int) -> tuple[int, int]:
    """Rows and vectors of a tile: what reads least for each product, and cuts evenly."""
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
