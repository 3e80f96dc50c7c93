"""Pictures [height, width · channels] on the host: framed copies that convolutions read."""

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
"""What makes an int8 a uint8; it is taken out of the sums again, where they start."""
PARALLEL_BYTES = 1 << 16
"""To copy less takes one thread no longer than to wait for others; in a band, it is one of several."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A picture and what is around it.

    Members:
        pixels: height and width of the picture in the frame.
        channels: elements of a pixel.
        steps: which rows and columns of the source are in it.
        top, left: rows above, elements in front of a row.
        rows, columns: of the framed picture, in rows and elements.
        fill: what is around, in the type of the framed picture.
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
        """Elements of a row of the picture."""
        return self.pixels[1] * self.channels


@dataclass(frozen=True, kw_only=True)
class Band:
    """What an iteration of a loop reads of a framed picture.

    Members:
        loop: the name of its variable.
        step: rows of the frame from one iteration to the next.
        rows: how many it reads.
    """

    loop: str
    step: int
    rows: int


def framed(function: PrimFunc, name: str, source: Buffer, frame: Frame, band: Band | None = None) -> PrimFunc:
    """The function whose parameter `name` is a framed copy of another one, which takes its place.

    The copy is made at once, or in each iteration of a loop as much of it as that reads. int8 elements become
    uint8, 128 more, where the copy is of uint8.
    """
    target = next(buffer for buffer in function.parameters if buffer.name == name)
    parameters = tuple(source if buffer.name == name else buffer for buffer in function.parameters)
    if band is None:
        body: Stmt = Allocate(target, Seq((*_copy(source, target, frame, Const(0)), function.body)))
    else:
        body = rewrite_stmt(function.body, lambda stmt: _with_band(stmt, source, target, frame, band))
    result = replace(function, parameters=parameters, body=body)
    verify(result)
    return result


def _with_band(stmt: Stmt, source: Buffer, target: Buffer, frame: Frame, band: Band) -> Stmt:
    """The loop of the band with a copy of what it reads."""
    if not (isinstance(stmt, For) and stmt.var.name == band.loop):
        return stmt
    first = stmt.var * band.step
    local = replace(target, shape=(Const(band.rows), *target.shape[1:]))

    def moved(expr: Expr) -> Expr:
        if not (isinstance(expr, BufferLoad) and expr.buffer == target):
            return expr
        return BufferLoad(local, (expr.indices[0] - first, *expr.indices[1:]))

    body = map_exprs(stmt.body, lambda expr: rewrite(expr, moved))
    return replace(stmt, body=Allocate(local, Seq((*_copy(source, local, frame, first), body))))


def _copy(source: Buffer, target: Buffer, frame: Frame, first: Expr) -> Iterator[Stmt]:
    """As many rows of the frame as the target has, from `first` on: above, of and below the picture."""
    name, bottom = target.name, frame.top + frame.pixels[0]
    top, end = (simplify(minimum(maximum(row - first, 0), target.shape[0])) for row in (frame.top, bottom))
    if frame.top:
        yield _around(f"{name}_above", target, frame, Const(0), top)
    yield _inside(source, target, frame, first, (top, end))
    if bottom < frame.rows:
        yield _around(f"{name}_below", target, frame, end, target.shape[0])


def _around(name: str, target: Buffer, frame: Frame, begin: Expr, end: Expr) -> Stmt:
    """Rows of the frame from `begin` to `end`, outside of the picture."""
    row = Var(f"{name}_row")
    return For(row, simplify(end - begin), _fill(name, target, frame, (row, begin), (0, frame.columns)))


def _inside(source: Buffer, target: Buffer, frame: Frame, first: Expr, ends: tuple[Expr, Expr]) -> Stmt:
    """Rows of the picture, each with what is in front of it and behind it."""
    row, right = Var(f"{target.name}_row"), frame.left + frame.row
    sides = {"before": (0, frame.left), "behind": (right, frame.columns)}
    fills = [
        _fill(f"{target.name}_{side}", target, frame, (row, ends[0]), columns)
        for side, columns in sides.items()
        if columns[0] < columns[1]
    ]
    body = Seq((_picture(source, target, frame, (row, ends[0]), first), *fills))
    rows = simplify(ends[1] - ends[0])
    size_bytes = (constant(rows) or 0) * frame.row * target.dtype.size_bytes
    kind = LoopKind.PARALLEL if size_bytes >= PARALLEL_BYTES else LoopKind.SERIAL
    return For(row, rows, body, kind)


def _fill(name: str, target: Buffer, frame: Frame, row: tuple[Var, Expr], columns: tuple[int, int]) -> Stmt:
    """Elements of a row of the frame, that many below a variable."""
    value = Const(frame.fill, target.dtype)

    def store(line: Expr, column: Expr) -> BufferStore:
        return BufferStore(target, (simplify(line + row[1]), _after(column, columns[0])), value)

    return _nest(name, row[0], (columns[1] - columns[0],), store)


def _picture(source: Buffer, target: Buffer, frame: Frame, row: tuple[Var, Expr], first: Expr) -> Stmt:
    """A row of the picture; pixel by pixel where some are left out."""
    name, (down, right), channels = f"{target.name}_copy", frame.steps, frame.channels

    def store(line: Expr, pixel: Expr, inside: Expr) -> BufferStore:
        above = simplify(line + row[1] + first - frame.top)
        element = BufferLoad(source, (above * down, pixel * (right * channels) + inside))
        place = (simplify(line + row[1]), pixel * channels + _after(inside, frame.left))
        return BufferStore(target, place, _converted(element, target.dtype))

    if frame.steps == (1, 1):
        return _nest(name, row[0], (frame.row,), lambda line, inside: store(line, Const(0), inside))
    return _nest(name, row[0], (frame.pixels[1], channels), store)


def _after(index: Expr, first: int) -> Expr:
    return index + first if first else index


def _converted(element: Expr, dtype: DType) -> Expr:
    """An int8 element as uint8, 128 more, if that is asked for."""
    if element.dtype is dtype:
        return element
    return Cast(dtype, Cast(DType.INT32, element) + SIGN)


def _nest(name: str, row: Var, extents: Sequence[int], store: Callable[..., BufferStore]) -> Stmt:
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
