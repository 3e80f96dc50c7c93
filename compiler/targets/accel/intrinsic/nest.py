"""A loop nest as an intrinsic sees it: loops around assignments, whose indices are sums of loop variables."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tilewright.compiler.targets.accel.intrinsic.affine import compiled
from tilewright.compiler.targets.accel.intrinsic.error import MatchProgress, MismatchError
from tilewright.compiler.targets.accel.intrinsic.iteration import Iterations
from tilewright.compiler.tir.affine import Affine
from tilewright.compiler.tir.bound import Domain
from tilewright.compiler.tir.buffer import Buffer, MemoryScope
from tilewright.compiler.tir.expr import Binary, BufferLoad, Const, Expr
from tilewright.compiler.tir.simplify import simplify
from tilewright.compiler.tir.stmt import Allocate, Block, BufferStore, For, IntrinsicStmt, IterKind, Seq, Stmt
from tilewright.compiler.tir.walk import block_indices, constant, map_store, nodes, substitute, variables


@dataclass(frozen=True)
class Loop:
    """A loop variable with its extent, an expression in outer variables."""

    name: str
    extent: Expr


@dataclass(frozen=True)
class Statement:
    """One assignment with the loops of the loop nest around it.

    Members:
        name: of its block.
        loops: outermost first.
        store: what it assigns, in loop variables.
        init: the value that a reduction starts with.
        reduced: the reduced indices, in loop variables: a reduction starts where all are 0.
    """

    name: str
    loops: tuple[Loop, ...]
    store: BufferStore
    init: Expr | None = None
    reduced: tuple[Affine, ...] = ()

    def added(self) -> tuple[Binary, Expr] | None:
        """The value, if it combines what was there with an item, and the item."""
        old = BufferLoad(self.store.buffer, self.store.indices)
        match self.store.value:
            case Binary(a=a, b=b) as value if old in (a, b):
                return value, b if a == old else a
        return None


@dataclass(frozen=True)
class Nest:
    """The assignments of a loop nest in order; all but the last are to `lane` buffers."""

    statements: tuple[Statement, ...]

    @property
    def last(self) -> Statement:
        """The statement that writes the result."""
        return self.statements[-1]

    @property
    def only(self) -> Statement:
        """The statement of a loop nest that has one.

        Raises:
            MismatchError: if there are several.
        """
        if len(self.statements) > 1:
            raise MismatchError(
                f"one assignment is expected, not {len(self.statements)}", MatchProgress.EXPRESSION
            )
        return self.last

    def reads(self) -> frozenset[MemoryScope]:
        """The scopes that are read, `lane` aside."""
        values = (statement.store.value for statement in self.statements)
        found = {
            node.buffer.scope for value in values for node in nodes(value) if isinstance(node, BufferLoad)
        }
        return frozenset(found - {MemoryScope.LANE})

    def some(self, rows: Iterations) -> Iterations:
        """Of the iterations outside, those in which every loop has some."""
        extents = {loop.name: loop.extent for statement in self.statements for loop in statement.loops}
        unsure = [compiled(extent)(rows) for extent in extents.values() if constant(extent) is None]
        if not unsure:
            return rows
        runs = np.logical_and.reduce([np.broadcast_to(extent > 0, rows.count) for extent in unsure])
        return rows.taken(np.flatnonzero(runs))


def parse(stmt: Stmt, domain: Domain) -> Nest:
    """The loop nest that a statement is.

    Args:
        stmt: loops, lane buffers and blocks.
        domain: the loops around, outermost first.

    Raises:
        MismatchError: if it is no loop nest of one result.
    """
    return _parsed(stmt, tuple(domain.items()))


@lru_cache(maxsize=256)
def _parsed(stmt: Stmt, domain: tuple[tuple[str, Expr], ...]) -> Nest:
    """`parse`, once for what is tensorised and then enumerated."""
    found = _statements(stmt, _Around(dict(domain), (), {}))
    *before, last = found
    if last.store.buffer.scope is MemoryScope.LANE or any(
        s.store.buffer.scope is not MemoryScope.LANE for s in before
    ):
        names = ", ".join(repr(s.name) for s in found)
        text = f"several results, of blocks {names}: an instruction has one, what is before lies in lanes"
        raise MismatchError(text, MatchProgress.EXPRESSION)
    return Nest(tuple(found))


@dataclass(frozen=True)
class _Around:
    """The loops around a statement of a loop nest.

    Members:
        domain: all loops.
        loops: those of the loop nest, but for those of one step.
        known: the variables of the latter.
    """

    domain: Domain
    loops: tuple[Loop, ...]
    known: Mapping[str, Expr]

    def inside(self, name: str, extent: Expr) -> "_Around":
        domain = {**self.domain, name: extent}
        if constant(extent) == 1:
            return _Around(domain, self.loops, {**self.known, name: Const(0)})
        loop = Loop(name, self.simple(extent))
        return _Around(domain, (*self.loops, loop), self.known)

    def simple(self, expression: Expr) -> Expr:
        return simplify(substitute(expression, self.known), self.domain)

    def store(self, store: BufferStore) -> BufferStore:
        return BufferStore(store.buffer, tuple(map(self.simple, store.indices)), self.simple(store.value))


def _statements(stmt: Stmt, around: _Around) -> list[Statement]:
    match stmt:
        case For(var=var, extent=extent, body=body):
            return _statements(body, around.inside(var.name, extent))
        case Seq(body=body):
            return [statement for part in body for statement in _statements(part, around)]
        case Allocate(buffer=Buffer(scope=MemoryScope.LANE), body=body):
            return _statements(body, around)
        case Block():
            return [_of_block(stmt, around)]
        case BufferStore():
            return [Statement(stmt.buffer.name, around.loops, around.store(stmt))]
        case Allocate(buffer=buffer):
            text = (
                f"buffer {buffer.name!r} of scope {buffer.scope} inside: only lanes exist in an instruction"
            )
            raise MismatchError(text, MatchProgress.EXPRESSION)
        case IntrinsicStmt(name=name):
            raise MismatchError(f"intrinsic {name!r} inside of another", MatchProgress.EXPRESSION)
    raise MismatchError(f"a statement that no instruction has: {stmt!r}", MatchProgress.EXPRESSION)


def _of_block(block: Block, around: _Around) -> Statement:
    values = block_indices(block)
    store = around.store(map_store(block.body, lambda expression: substitute(expression, values)))
    reduces = (it.value for it in block.iters if it.kind is IterKind.REDUCE)
    reduced = tuple(Affine.of(around.simple(value)) for value in reduces)
    init = None if block.init is None else block.init.value
    return Statement(block.name, around.loops, store, init, reduced)


def check_rectangular(loops: tuple[Loop, ...]) -> None:
    """Refuse loops whose extent depends on another of them.

    Raises:
        MismatchError: naming the loop.
    """
    names = {loop.name for loop in loops}
    for loop in loops:
        inner = variables(loop.extent) & names
        if inner:
            text = (
                f"the extent of loop {loop.name!r} depends on {sorted(inner)}, loops of the same instruction"
            )
            raise MismatchError(text, MatchProgress.ACCESS)
