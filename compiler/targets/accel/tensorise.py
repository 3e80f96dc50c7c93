"""Tensorise: mark the largest loop nests that are one instruction each; surplus loops stay around them.

Before and after, of a product whose reduction has one loop more than the array:

    for k: for m: for r: for c: acc[m, c] += …
    for k: intrinsic "matrix": for m: for r: for c: acc[m, c] += …
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tilewright.compiler.targets.accel.intrinsic.affine import Number, compiled
from tilewright.compiler.targets.accel.intrinsic.error import MismatchError
from tilewright.compiler.targets.accel.intrinsic.intrinsic import Intrinsic
from tilewright.compiler.targets.accel.intrinsic.iteration import Iterations
from tilewright.compiler.targets.accel.intrinsic.limits import Limits
from tilewright.compiler.targets.accel.intrinsic.nest import parse
from tilewright.compiler.targets.accel.intrinsic.table import intrinsic_of, matched
from tilewright.compiler.tir.bound import Domain
from tilewright.compiler.tir.buffer import Buffer, MemoryScope
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
    return replace(function, body=_Tensoriser(limits, {}).statement(function.body))


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
    """

    limits: Limits
    domain: Domain

    def statement(self, stmt: Stmt) -> Stmt:
        """The statement with intrinsics."""
        match stmt:
            case IntrinsicStmt():
                return stmt
            case Seq(body=body) if not _is_of_lanes(stmt):
                return Seq(tuple(self.statement(part) for part in body))
            case Allocate(buffer=buffer, body=inner) if buffer.scope is not MemoryScope.LANE:
                return Allocate(buffer, self.statement(inner))
            case For(body=inner) if not _is_nest(inner):
                return replace(stmt, body=self._inside(stmt).statement(inner))
        return self._nest(stmt)

    def _inside(self, loop: For) -> "_Tensoriser":
        return replace(self, domain={**self.domain, loop.var.name: loop.extent})

    def _nest(self, stmt: Stmt) -> Stmt:
        """A loop nest of one result, as an intrinsic with surplus loops around."""
        try:
            kind = intrinsic_of(parse(stmt, self.domain))
        except MismatchError as error:
            raise TensoriseError(_text(stmt, "none", error)) from error
        return self._peeled(stmt, kind, [])

    def _peeled(self, stmt: Stmt, kind: type[Intrinsic], before: list[_Attempt]) -> Stmt:
        """The statement if it is one instruction, else its outermost loop around what is inside of it."""
        if not any(isinstance(s, For) and s.kind is LoopKind.VIRTUAL_THREAD for s in statements(stmt)):
            try:
                self._check(matched(kind.name, stmt, self.domain, self.limits))
                return IntrinsicStmt(kind.name, stmt)
            except MismatchError as error:
                before = [*before, (stmt, error)]
        if isinstance(stmt, For):
            return replace(stmt, body=self._inside(stmt)._peeled(stmt.body, kind, before))
        nearest, difference = max(before, key=lambda attempt: attempt[1].progress)
        raise TensoriseError(_text(nearest, kind.name, difference))

    def _check(self, intrinsic: Intrinsic) -> None:
        """Evaluate at the first and last steps of the loops around, and one step away from the first."""
        for rows in self._samples:
            intrinsic.instructions(intrinsic.nest.some(rows))

    @cached_property
    def _samples(self) -> tuple[Iterations, Iterations]:
        extents = {name: compiled(extent) for name, extent in self.domain.items()}
        return _corners(extents), _neighbours(extents)


def _corners(extents: Mapping[str, Number]) -> Iterations:
    """The first and last steps of all loops."""
    rows = Iterations(1, {})
    for name, number in extents.items():
        extent = np.broadcast_to(number(rows), rows.count)
        ends = rows.inside(name, np.minimum(extent, 2))
        rows = Iterations(ends.count, {name: ends[name] * (extent[ends.which] - 1)}, rows, ends.which)
    return rows


def _neighbours(extents: Mapping[str, Number]) -> Iterations:
    """The second step of each loop that has one, and the first one of all others."""
    first = Iterations(1, {name: np.zeros(1, np.int64) for name in extents})
    moving = [name for name, extent in extents.items() if (extent(first) > 1).any()]
    steps = {name: np.array([int(name == each) for each in moving], np.int64) for name in extents}
    return Iterations(len(moving), steps)


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
