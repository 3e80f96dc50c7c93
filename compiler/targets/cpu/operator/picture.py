"""Pictures [height, width · channels] on the host: framed copies that convolutions read."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

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
    nests = (*_border(name, target, frame), _copy(name, source, target, frame), function.body)
    result = replace(function, parameters=parameters, body=Allocate(target, Seq(nests)))
    verify(result)
    return result


def _border(name: str, target: Buffer, frame: Frame) -> Iterator[Stmt]:
    """What is around the picture: above, below, in front of and behind its rows."""
    value = Const(frame.fill, target.dtype)
    bottom, right = frame.top + frame.pixels[0], frame.left + frame.row
    parts = {
        "above": ((0, 0), (frame.top, frame.columns)),
        "below": ((bottom, 0), (frame.rows - bottom, frame.columns)),
        "before": ((frame.top, 0), (frame.pixels[0], frame.left)),
        "behind": ((frame.top, right), (frame.pixels[0], frame.columns - right)),
    }
    for side, (origin, extents) in parts.items():
        if all(extents):
            yield _nest(f"{name}_{side}", extents, partial(_filled, target, origin, value))


def _filled(target: Buffer, origin: tuple[int, int], value: Const, row: Expr, column: Expr) -> Store:
    return Store(target, (_after(row, origin[0]), _after(column, origin[1])), value)


def _copy(name: str, source: Buffer, target: Buffer, frame: Frame) -> Stmt:
    """Row by row; pixel by pixel where some are left out."""
    (down, right), channels = frame.steps, frame.channels

    def store(row: Expr, column: Expr, inside: Expr, step: int) -> Store:
        element = Load(source, (row * down, column * step + inside))
        place = (_after(row, frame.top), column * channels + _after(inside, frame.left))
        return Store(target, place, _converted(element, target.dtype))

    if frame.steps == (1, 1):
        zero = Const(0)
        return _nest(f"{name}_copy", (frame.pixels[0], frame.row), lambda y, i: store(y, zero, i, 0))
    extents = (*frame.pixels, channels)
    return _nest(f"{name}_copy", extents, lambda y, x, i: store(y, x, i, right * channels))


def _after(index: Expr, first: int) -> Expr:
    return index + first if first else index


def _converted(element: Expr, dtype: DType) -> Expr:
    """An int8 element as uint8, 128 more, if that is asked for."""
    if element.dtype is dtype:
        return element
    return Cast(dtype, Cast(DType.INT32, element) + SIGN)


def _nest(name: str, extents: Sequence[int], store: Callable[..., Store]) -> Stmt:
    """The first axis in parallel, the last one in lanes."""
    axes = ("row", "column", "element")[: len(extents)]
    loops = [Var(f"{name}_{axis}") for axis in axes]
    inside = [Var(f"v_{name}_{axis}") for axis in axes]
    iters = tuple(Iter(v, IterKind.SPATIAL, loop) for v, loop in zip(inside, loops, strict=True))
    stmt: Stmt = Block(name, iters, store(*inside))
    kinds = [LoopKind.PARALLEL, *[LoopKind.SERIAL] * (len(axes) - 2), LoopKind.VECTORISE]
    for loop, extent, kind in reversed(list(zip(loops, extents, kinds, strict=True))):
        stmt = For(loop, Const(extent), stmt, kind)
    return stmt
