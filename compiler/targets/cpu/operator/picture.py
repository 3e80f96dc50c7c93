"""Pictures [height, width · channels] on the host: framed copies that convolutions read."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import Cast, Const, Expr, Load, Var
from tilewright.compiler.tir.stmt import (
    Allocate,
    Block,
    For,
    Function,
    Iter,
    IterKind,
    LoopKind,
    Seq,
    Stmt,
    Store,
)
from tilewright.compiler.tir.verify import verify

SIGN = 128
"""What makes an int8 a uint8; it is taken out of the sums again, where they start."""
PARALLEL_BYTES = 1 << 16
"""To copy less takes one thread no longer than to wait for others."""


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
    fill: int

    @property
    def row(self) -> int:
        """Elements of a row of the picture."""
        return self.pixels[1] * self.channels


def framed(function: Function, name: str, source: Buffer, frame: Frame) -> Function:
    """The function whose parameter `name` is a framed copy of another one, which takes its place.

    int8 elements become uint8, 128 more, where the copy is of uint8.
    """
    target = next(buffer for buffer in function.parameters if buffer.name == name)
    parameters = tuple(source if buffer.name == name else buffer for buffer in function.parameters)
    nests = (*_outside(name, target, frame), _rows(name, source, target, frame), function.body)
    result = replace(function, parameters=parameters, body=Allocate(target, Seq(nests)))
    verify(result)
    return result


def _outside(name: str, target: Buffer, frame: Frame) -> Iterator[Stmt]:
    """The rows above and below the picture."""
    bottom = frame.top + frame.pixels[0]
    for side, first, rows in (("above", 0, frame.top), ("below", bottom, frame.rows - bottom)):
        if rows:
            row = Var(f"{name}_{side}_row")
            yield For(
                row, Const(rows), _fill(f"{name}_{side}", target, frame, (row, first), 0, frame.columns)
            )


def _rows(name: str, source: Buffer, target: Buffer, frame: Frame) -> Stmt:
    """The rows of the picture, one after the other: what is in front of it, the picture, what is behind."""
    row, right = Var(f"{name}_row"), frame.left + frame.row
    sides = (("before", 0, frame.left), ("behind", right, frame.columns - right))
    fills = [
        _fill(f"{name}_{side}", target, frame, (row, frame.top), first, elements)
        for side, first, elements in sides
        if elements
    ]
    size_bytes = frame.pixels[0] * frame.row * target.dtype.size_bytes
    kind = LoopKind.PARALLEL if size_bytes >= PARALLEL_BYTES else LoopKind.SERIAL
    body = Seq((_copy(f"{name}_copy", source, target, frame, row), *fills))
    return For(row, Const(frame.pixels[0]), body, kind)


def _fill(name: str, target: Buffer, frame: Frame, row: tuple[Var, int], first: int, elements: int) -> Stmt:
    """Elements of a row of the frame: of one that many below a variable."""
    value = Const(frame.fill, target.dtype)

    def store(line: Expr, column: Expr) -> Store:
        return Store(target, (_after(line, row[1]), _after(column, first)), value)

    return _nest(name, row[0], (elements,), store)


def _copy(name: str, source: Buffer, target: Buffer, frame: Frame, row: Var) -> Stmt:
    """A row of the picture; pixel by pixel where some are left out."""
    (down, right), channels = frame.steps, frame.channels

    def store(line: Expr, pixel: Expr, inside: Expr) -> Store:
        element = Load(source, (line * down, pixel * (right * channels) + inside))
        place = (_after(line, frame.top), pixel * channels + _after(inside, frame.left))
        return Store(target, place, _converted(element, target.dtype))

    if frame.steps == (1, 1):
        return _nest(name, row, (frame.row,), lambda line, inside: store(line, Const(0), inside))
    return _nest(name, row, (frame.pixels[1], channels), store)


def _after(index: Expr, first: int) -> Expr:
    return index + first if first else index


def _converted(element: Expr, dtype: DType) -> Expr:
    """An int8 element as uint8, 128 more, if that is asked for."""
    if element.dtype is dtype:
        return element
    return Cast(dtype, Cast(DType.INT32, element) + SIGN)


def _nest(name: str, row: Var, extents: Sequence[int], store: Callable[..., Store]) -> Stmt:
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
