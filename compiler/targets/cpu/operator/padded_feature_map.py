"""Feature maps [height, width · channels] on the host: padded copies that convolutions read."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import BufferLoad, Cast, Const, Expr, Var, maximum, minimum
from tilewright.compiler.tir.simplify import simplify
from tilewright.compiler.tir.stmt import (
    Allocate,
    Block,
    BufferStore,
    For,
    Iter,
    IterKind,
    LoopKind,
    PrimFunc,
    Seq,
    Stmt,
)
from tilewright.compiler.tir.verify import verify
from tilewright.compiler.tir.walk import constant, map_exprs, rewrite, rewrite_stmt

SIGN = 128
"""Added to an int8: it has the range of a uint8; the initial values of the accumulators subtract it again."""
PARALLEL_BYTES = 1 << 16
"""To copy less takes one thread no longer than to wait for others; in a row slice, it is one of several."""


@dataclass(frozen=True, kw_only=True)
class PaddedFeatureMap:
    """A feature map and its padding.

    Members:
        pixels: height and width of the feature map inside of the padding.
        channels: elements of a pixel.
        steps: the steps, in rows and columns of the source, between those that are copied.
        top, left: padding: rows above, elements before each row.
        rows, columns: of the padded feature map, in rows and elements.
        fill: the value of the padding, in the type of the padded feature map.
    """

    pixels: tuple[int, int]
    channels: int
    steps: tuple[int, int]
    top: int
    left: int
    rows: int
    columns: int
    fill: int | float

    @property
    def row(self) -> int:
        """Elements of a row of the feature map."""
        return self.pixels[1] * self.channels


@dataclass(frozen=True, kw_only=True)
class RowSlice:
    """The rows of a padded feature map that an iteration of a loop reads.

    Members:
        loop: the name of its variable.
        step: rows of the padded feature map from one iteration to the next.
        rows: the number of rows that an iteration reads.
    """

    loop: str
    step: int
    rows: int


def with_padded_copy(
    function: PrimFunc,
    name: str,
    source: Buffer,
    padded_map: PaddedFeatureMap,
    row_slice: RowSlice | None = None,
) -> PrimFunc:
    """The function whose parameter `name` is a padded copy of the new parameter `source`.

    The copy is made at once, or in each iteration of a loop as much of it as that reads. int8 elements become
    128 more, where the copy is of uint8 or int16.
    """
    target = next(buffer for buffer in function.parameters if buffer.name == name)
    parameters = tuple(source if buffer.name == name else buffer for buffer in function.parameters)
    if row_slice is None:
        body: Stmt = Allocate(target, Seq((*_copy(source, target, padded_map, Const(0)), function.body)))
    else:
        body = rewrite_stmt(
            function.body, lambda stmt: _with_row_slice(stmt, source, target, padded_map, row_slice)
        )
    result = replace(function, parameters=parameters, body=body)
    verify(result)
    return result


def without_copy(function: PrimFunc, name: str, source: Buffer) -> PrimFunc:
    """The function whose parameter `name` is the new parameter `source` itself, of the same shape."""
    target = next(buffer for buffer in function.parameters if buffer.name == name)
    parameters = tuple(source if buffer.name == name else buffer for buffer in function.parameters)
    result = replace(function, parameters=parameters, body=_read(function.body, target, source))
    verify(result)
    return result


def _read(stmt: Stmt, target: Buffer, source: Buffer, first: Expr | None = None) -> Stmt:
    """The statement that reads another buffer instead, which begins with a row of it."""

    def moved(expr: Expr) -> Expr:
        if not (isinstance(expr, BufferLoad) and expr.buffer == target):
            return expr
        row, *others = expr.indices
        return BufferLoad(source, (row if first is None else row - first, *others))

    return map_exprs(stmt, lambda expr: rewrite(expr, moved))


def _with_row_slice(
    stmt: Stmt, source: Buffer, target: Buffer, padded_map: PaddedFeatureMap, row_slice: RowSlice
) -> Stmt:
    """The loop of the slice with a copy of what it reads."""
    if not (isinstance(stmt, For) and stmt.var.name == row_slice.loop):
        return stmt
    first = stmt.var * row_slice.step
    local = replace(target, shape=(Const(row_slice.rows), *target.shape[1:]))

    body = _read(stmt.body, target, local, first)
    return replace(stmt, body=Allocate(local, Seq((*_copy(source, local, padded_map, first), body))))


def _copy(source: Buffer, target: Buffer, padded_map: PaddedFeatureMap, first: Expr) -> Iterator[Stmt]:
    """The rows from `first` on that the target holds: padding above, feature map, padding below."""
    name, bottom = target.name, padded_map.top + padded_map.pixels[0]
    top, end = (
        simplify(minimum(maximum(row - first, 0), target.shape[0])) for row in (padded_map.top, bottom)
    )
    if padded_map.top:
        yield _around(f"{name}_above", target, padded_map, Const(0), top)
    yield _inside(source, target, padded_map, first, (top, end))
    if bottom < padded_map.rows:
        yield _around(f"{name}_below", target, padded_map, end, target.shape[0])


def _around(name: str, target: Buffer, padded_map: PaddedFeatureMap, begin: Expr, end: Expr) -> Stmt:
    """Rows of the padded feature map from `begin` to `end`, outside of the feature map."""
    row = Var(f"{name}_row")
    return For(
        row, simplify(end - begin), _fill(name, target, padded_map, (row, begin), (0, padded_map.columns))
    )


def _inside(
    source: Buffer, target: Buffer, padded_map: PaddedFeatureMap, first: Expr, ends: tuple[Expr, Expr]
) -> Stmt:
    """Rows of the feature map, each with what is in front of it and behind it."""
    row, right = Var(f"{target.name}_row"), padded_map.left + padded_map.row
    sides = {"before": (0, padded_map.left), "behind": (right, padded_map.columns)}
    fills = [
        _fill(f"{target.name}_{side}", target, padded_map, (row, ends[0]), columns)
        for side, columns in sides.items()
        if columns[0] < columns[1]
    ]
    body = Seq((_feature_map_rows(source, target, padded_map, (row, ends[0]), first), *fills))
    rows = simplify(ends[1] - ends[0])
    size_bytes = (constant(rows) or 0) * padded_map.row * target.dtype.size_bytes
    kind = LoopKind.PARALLEL if size_bytes >= PARALLEL_BYTES else LoopKind.SERIAL
    return For(row, rows, body, kind)


def _fill(
    name: str, target: Buffer, padded_map: PaddedFeatureMap, row: tuple[Var, Expr], columns: tuple[int, int]
) -> Stmt:
    """Elements of a row of the padded feature map, that many below a variable."""
    value = Const(padded_map.fill, target.dtype)

    def store(line: Expr, column: Expr) -> BufferStore:
        return BufferStore(target, (simplify(line + row[1]), _after(column, columns[0])), value)

    return _loop_nest(name, row[0], (columns[1] - columns[0],), store)


def _feature_map_rows(
    source: Buffer, target: Buffer, padded_map: PaddedFeatureMap, row: tuple[Var, Expr], first: Expr
) -> Stmt:
    """A row of the feature map; pixel by pixel where some are left out."""
    name, (down, right), channels = f"{target.name}_copy", padded_map.steps, padded_map.channels

    def store(line: Expr, pixel: Expr, inside: Expr) -> BufferStore:
        above = simplify(line + row[1] + first - padded_map.top)
        element = BufferLoad(source, (above * down, pixel * (right * channels) + inside))
        indices = (simplify(line + row[1]), pixel * channels + _after(inside, padded_map.left))
        return BufferStore(target, indices, _converted(element, target.dtype))

    if padded_map.steps == (1, 1):
        return _loop_nest(name, row[0], (padded_map.row,), lambda line, inside: store(line, Const(0), inside))
    return _loop_nest(name, row[0], (padded_map.pixels[1], channels), store)


def _after(index: Expr, first: int) -> Expr:
    return index + first if first else index


def _converted(element: Expr, dtype: DType) -> Expr:
    """The element in the type of the target: an int8 element in another one is 128 more."""
    if element.dtype is dtype:
        return element
    return Cast(dtype, Cast(DType.INT32, element) + SIGN)


def _loop_nest(name: str, row: Var, extents: Sequence[int], store: Callable[..., BufferStore]) -> Stmt:
    """Loops inside of that over rows, the last one in lanes."""
    axes = ("row", "column", "element")[: 1 + len(extents)]
    loops = [row, *(Var(f"{name}_{axis}") for axis in axes[1:])]
    inside = [Var(f"v_{name}_{axis}") for axis in axes]
    iters = tuple(Iter(v, IterKind.SPATIAL, loop) for v, loop in zip(inside, loops, strict=True))
    stmt: Stmt = Block(name, iters, store(*inside))
    kinds = [*[LoopKind.SERIAL] * (len(extents) - 1), LoopKind.VECTORISE]
    for loop, extent, kind in reversed(list(zip(loops[1:], extents, kinds, strict=True))):
        stmt = For(loop, Const(extent), stmt, kind)
    return stmt
