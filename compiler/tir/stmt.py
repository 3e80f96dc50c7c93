"""Statements of loop programs: immutable trees of loops around blocks.

A block is one assignment with named index variables, each spatial or reduced; the loops around say in which
order its instances run. Extents may depend on outer variables (min(8, 60 - 8 * o)): tails need no predicates.
"""

from dataclasses import dataclass
from enum import StrEnum

from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import Expr, Var


class LoopKind(StrEnum):
    """How the iterations of a loop run."""

    SERIAL = "serial"
    UNROLL = "unroll"
    VECTORISE = "vectorise"
    PARALLEL = "parallel"
    VIRTUAL_THREAD = "virtual_thread"
    """In turns: the instruction streams of the iterations are interleaved; they share nothing on the chip."""


class IterKind(StrEnum):
    """What an index of a block means."""

    SPATIAL = "spatial"
    REDUCE = "reduce"


class Stmt:
    """Any statement; use a subclass."""


@dataclass(frozen=True)
class For(Stmt):
    """`body` for var = 0 … extent − 1."""

    var: Var
    extent: Expr
    body: Stmt
    kind: LoopKind = LoopKind.SERIAL


@dataclass(frozen=True)
class Seq(Stmt):
    """One after the other."""

    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class Store(Stmt):
    """One element is assigned."""

    buffer: Buffer
    indices: tuple[Expr, ...]
    value: Expr


@dataclass(frozen=True)
class Iter:
    """An index of a block: its value in terms of the loops around."""

    var: Var
    kind: IterKind
    value: Expr


@dataclass(frozen=True)
class Block(Stmt):
    """One assignment under names for its indices; `init` runs first where all reduced indices are 0."""

    name: str
    iters: tuple[Iter, ...]
    body: Store
    init: Store | None = None


@dataclass(frozen=True)
class Allocate(Stmt):
    """A buffer that exists in `body`; each execution is a new instance with unknown contents."""

    buffer: Buffer
    body: Stmt


@dataclass(frozen=True)
class Intrinsic(Stmt):
    """A nest that one instruction of the target does; `body` stays its meaning."""

    name: str
    body: Stmt


@dataclass(frozen=True)
class Function:
    """A loop program over buffers of the caller.

    Members:
        name: of the function.
        parameters: global buffers, inputs first, then outputs.
        outputs: how many of the parameters, at the end, are outputs.
        body: the loops.
    """

    name: str
    parameters: tuple[Buffer, ...]
    outputs: int
    body: Stmt
