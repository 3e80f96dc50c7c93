"""Tensorise: mark the largest loop nests that are one instruction each; surplus loops stay around them.

Before and after, of a product whose reduction has one loop more than the array:

    for k: for m: for r: for c: acc[m, c] += …
    for k: intrinsic "matrix": for m: for r: for c: acc[m, c] += …
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tilewright.compiler.targets.accel.intrinsic.affine import Number, compiled
from tilewright.compiler.targets.accel.intrinsic.error import MismatchError
from tilewright.compiler.targets.accel.intrinsic.intrinsic import Intrinsic
from tilewright.compiler.targets.accel.intrinsic.limits import Limits
from tilewright.compiler.targets.accel.intrinsic.nest import Nest, parse
from tilewright.compiler.targets.accel.intrinsic.table import intrinsic_of
from tilewright.compiler.tir.bound import Domain
from tilewright.compiler.tir.buffer import Buffer, MemoryScope
from tilewright.compiler.tir.expr import Expr
from tilewright.compiler.tir.printer import print_stmt
from tilewright.compiler.tir.stmt import (
    Allocate,
    Block,
    BufferStore,
    For,
    IntrinsicStmt,
    LoopKind,
    Opaque,
    PrimFunc,
    Seq,
    Stmt,
)
from tilewright.compiler.tir.walk import statements
from tilewright.isa.config import Config
from tilewright.numerics.error import TilewrightError

_Attempt = tuple[Stmt, MismatchError]
"""A loop nest, and why it is not the intrinsic."""


class TensoriseError(TilewrightError):
    """A loop nest that no intrinsic stands for: its block and text, the nearest one, the first difference."""


def limits_of(config: Config) -> Limits:
    """The limits of a machine that tensorising must know."""
    return Limits.of(config)


def tensorise(function: PrimFunc, limits: Limits) -> PrimFunc:
    """The function with every loop nest around a block inside of an intrinsic.

    Args:
        function: scheduled: every buffer has its memory scope.
        limits: of the machine.

    Raises:
        TensoriseError: naming the first loop nest that is none, or all stages that are no expressions.
    """
    require_expressions(function)
    shapes = {buffer.name: buffer.shape for buffer in function.parameters}
    body = _Tensoriser(limits, {}, shapes).statement(function.body)
    return replace(function, body=body)


def require_expressions(function: PrimFunc) -> None:
    """Refuse stages that are calls or Python functions: no instruction can be found in them.

    Raises:
        TensoriseError: naming all of them.
    """
    names = [repr(part.name) for part in statements(function.body) if isinstance(part, Opaque)]
    if names:
        raise TensoriseError(
            f"stages of {function.name} must be tensor expressions, not calls or Python functions as "
            f"{', '.join(names)}: run these on the host, in a function of their own"
        )


@dataclass(frozen=True)
class _Tensoriser:
    """A place in a function.

    Members:
        limits: of the machine.
        domain: extents of the loops around.
        shapes: of the buffers that exist.
    """

    limits: Limits
    domain: Domain
    shapes: Mapping[str, tuple[Expr, ...]]

    def statement(self, stmt: Stmt) -> Stmt:
        """The statement with intrinsics."""
        match stmt:
            case IntrinsicStmt():
                return stmt
            case Seq(body=body) if not _is_of_lanes(stmt):
                return Seq(tuple(self.statement(part) for part in body))
            case Allocate(buffer=buffer, body=inner) if buffer.scope is not MemoryScope.LANE:
                return Allocate(buffer, self._with_buffer(buffer).statement(inner))
            case For(body=inner) if not _is_nest(inner):
                return replace(stmt, body=self._inside(stmt).statement(inner))
        return self._nest(stmt)

    def _inside(self, loop: For) -> "_Tensoriser":
        return replace(self, domain={**self.domain, loop.var.name: loop.extent})

    def _with_buffer(self, buffer: Buffer) -> "_Tensoriser":
        return replace(self, shapes={**self.shapes, buffer.name: buffer.shape})

    def _nest(self, stmt: Stmt) -> Stmt:
        """A loop nest of one result, as an intrinsic with surplus loops around."""
        try:
            nest = parse(stmt, self.domain)
            kind = intrinsic_of(nest)
        except MismatchError as error:
            raise TensoriseError(_text(stmt, "none", error)) from error
        return self._peeled(stmt, nest, kind, [])

    def _peeled(self, stmt: Stmt, nest: Nest, kind: type[Intrinsic], before: list[_Attempt]) -> Stmt:
        """The statement if it is one instruction, else its outermost loop around what is inside of it."""
        if not any(isinstance(s, For) and s.kind is LoopKind.VIRTUAL_THREAD for s in statements(stmt)):
            try:
                self._check(kind(nest, self.limits), nest)
                return IntrinsicStmt(kind.name, stmt)
            except MismatchError as error:
                before = [*before, (stmt, error)]
        if isinstance(stmt, For):
            inner = self._inside(stmt)._peeled(stmt.body, nest.without(stmt.var.name), kind, before)
            return replace(stmt, body=inner)
        nearest, difference = max(before, key=lambda attempt: attempt[1].progress)
        raise TensoriseError(_text(nearest, kind.name, difference))

    def _check(self, intrinsic: Intrinsic, nest: Nest) -> None:
        """Evaluate at the first and last steps of the loops around, and one step away from the first."""
        loops = [(name, compiled(extent)) for name, extent in self.domain.items()]
        shapes = {name: [compiled(extent) for extent in shape] for name, shape in self.shapes.items()}
        is_empty = nest.emptiness()
        for env in (*_corners(loops, {}), *_neighbours(loops)):
            if is_empty(env):
                continue
            numbers = {name: tuple(extent(env) for extent in shape) for name, shape in shapes.items()}
            intrinsic.instruction(env, numbers)


def _corners(loops: list[tuple[str, Number]], env: dict[str, int]) -> Iterator[dict[str, int]]:
    if not loops:
        yield env
        return
    (name, extent), *rest = loops
    last = extent(env) - 1
    for value in sorted({0, last}) if last >= 0 else ():
        yield from _corners(rest, {**env, name: value})


def _neighbours(loops: list[tuple[str, Number]]) -> Iterator[dict[str, int]]:
    first = {name: 0 for name, _ in loops}
    for name, extent in loops:
        if extent(first) > 1:
            yield {**first, name: 1}


def _is_nest(stmt: Stmt) -> bool:
    """Whether a statement is one loop nest: nothing is allocated but lanes, and one result is written."""
    found = list(statements(stmt))
    results = [
        s for s in found if isinstance(s, Block | BufferStore) and _written(s).scope is not MemoryScope.LANE
    ]
    others = (s for s in found if isinstance(s, IntrinsicStmt) or _allocates(s))
    return len(results) == 1 and not any(others)


def _is_of_lanes(seq: Seq) -> bool:
    """Whether the parts belong to one instruction: all but the last write lanes."""
    *before, last = seq.body
    written = [_written(s) for part in before for s in statements(part) if isinstance(s, Block | BufferStore)]
    return _is_nest(last) and bool(written) and all(buffer.scope is MemoryScope.LANE for buffer in written)


def _written(stmt: Block | BufferStore) -> Buffer:
    return stmt.body.buffer if isinstance(stmt, Block) else stmt.buffer


def _allocates(stmt: Stmt) -> bool:
    return isinstance(stmt, Allocate) and stmt.buffer.scope is not MemoryScope.LANE


def _text(stmt: Stmt, nearest: str, error: MismatchError) -> str:
    names = ", ".join(repr(s.name) for s in statements(stmt) if isinstance(s, Block))
    return (
        f"block {names} is no instruction; nearest intrinsic: {nearest}; first difference: {error}\n"
        f"{print_stmt(stmt)}"
    )
