"""Pictures [height, width · channels] on the host: framed copies that convolutions read."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import Const, Expr, Load, Var
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
        height, row: of the picture, in rows and elements of a row.
        top, left: rows above, elements in front of a row.
        rows, columns: of the framed picture.
        fill: what is around, in the type of the framed picture.
    """

    height: int
    row: int
    top: int
    left: int
    rows: int
    columns: int
    fill: int


def framed(function: Function, name: str, source: Buffer, frame: Frame) -> Function:
    """The function whose parameter `name` is a framed copy of another one, which takes its place.

    int8 elements become uint8, 128 more; others stay what they are.
    """
    target = next(buffer for buffer in function.parameters if buffer.name == name)
    parameters = tuple(source if buffer.name == name else buffer for buffer in function.parameters)
    border = _nest(
        f"{name}_frame",
        target,
        (frame.rows, frame.columns),
        (0, 0),
        lambda r, c: Const(frame.fill, target.dtype),
    )

    def element(row: Expr, column: Expr) -> Expr:
        return unsigned(Load(source, (row, column)), target.dtype)

    inner = _nest(f"{name}_copy", target, (frame.height, frame.row), (frame.top, frame.left), element)
    result = replace(
        function, parameters=parameters, body=Allocate(target, Seq((border, inner, function.body)))
    )
    verify(result)
    return result


def unsigned(element: Expr, dtype: DType) -> Expr:
    """An int8 element as uint8, 128 more, if that is asked for."""
    from tilewright.compiler.te import cast

    if element.dtype is dtype:
        return element
    return cast(cast(element, DType.INT32) + SIGN, dtype)


def _nest(
    name: str,
    target: Buffer,
    extents: tuple[int, int],
    origin: tuple[int, int],
    value: Callable[[Expr, Expr], Expr],
) -> Stmt:
    """Rows in parallel, elements of a row in lanes."""
    loops = tuple(Var(f"{name}_{axis}") for axis in ("row", "column"))
    inside = tuple(Var(f"v_{name}_{axis}") for axis in ("row", "column"))
    at = tuple(index + first if first else index for index, first in zip(inside, origin, strict=True))
    iters = tuple(Iter(v, IterKind.SPATIAL, loop) for v, loop in zip(inside, loops, strict=True))
    block: Stmt = Block(name, iters, Store(target, at, value(*inside)))
    inner = For(loops[1], Const(extents[1]), block, LoopKind.VECTORISE)
    return For(loops[0], Const(extents[0]), inner, LoopKind.PARALLEL)
