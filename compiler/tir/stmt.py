"""Statements of loop programs: immutable trees of loops around blocks.

A block is one assignment with named index variables, each spatial, reduced or ordered; the loops around say
in which order its instances run. Extents may depend on outer variables (min(8, 60 - 8 * o)): tails need no
predicates.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import Const, Expr, Parameter, Var


class LoopKind(StrEnum):
    """How the iterations of a loop run."""

    SERIAL = "serial"
    UNROLL = "unroll"
    VECTORISE = "vectorise"
    PARALLEL = "parallel"
    VIRTUAL_THREAD = "virtual_thread"
    """The instruction streams of the iterations are interleaved; the iterations share nothing on the chip."""


class IterKind(StrEnum):
    """The kind of an index of a block."""

    SPATIAL = "spatial"
    REDUCE = "reduce"
    ORDERED = "ordered"
    """Instances read what those of smaller indices wrote: they run one after the other."""


class Stmt:
    """Any statement; use a subclass."""


@dataclass(frozen=True)
class PrefetchHint:
    """Iteration i prefetches the elements of a buffer that iteration i + distance reads; changes no value."""

    buffer: str
    distance: int


@dataclass(frozen=True)
class PipelineStage:
    """A loop nest in the body of a pipelined loop: that of iteration t is issued in step t + offset."""

    block: str
    offset: int


@dataclass(frozen=True)
class Pipelining:
    """In which order the work of a loop's iterations is issued; changes no value.

    Members:
        across: the loop whose iterations the steps go on over: the loop itself, or one around it.
        stages: the loop nests of its body, each once; in a step they run in this order.
        drain: what stands behind the loop is issued behind the step of its last iteration + drain.
    """

    across: str
    stages: tuple[PipelineStage, ...]
    drain: int


@dataclass(frozen=True)
class For(Stmt):
    """`body` for var = 0 … extent − 1."""

    var: Var
    extent: Expr
    body: Stmt
    kind: LoopKind = LoopKind.SERIAL
    prefetch: tuple[PrefetchHint, ...] = ()
    pipelining: Pipelining | None = None


@dataclass(frozen=True)
class Seq(Stmt):
    """One after the other."""

    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class BufferStore(Stmt):
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
class Reducer:
    """How two results of a reduction become one: associative and commutative, of one element or several.

    Members:
        left, right: parameters for the elements of either result.
        combined: the elements of both together, in terms of these.
        identity: the elements that change nothing when combined.
    """

    left: tuple[Parameter, ...]
    right: tuple[Parameter, ...]
    combined: tuple[Expr, ...]
    identity: tuple[Const, ...]


@dataclass(frozen=True)
class Block(Stmt):
    """One assignment under names for its indices; `init` runs first where all reduced indices are 0.

    Members:
        name: unique in a function.
        iters: its indices.
        body: the assignment.
        init: the assignment before the first reduced instance.
        more: further elements that are assigned at the same time: all values are evaluated before a store.
        more_init: the inits of these.
        reducer: of a reduction that is no operator; None where `body` shows it, or there is none.
    """

    name: str
    iters: tuple[Iter, ...]
    body: BufferStore
    init: BufferStore | None = None
    more: tuple[BufferStore, ...] = ()
    more_init: tuple[BufferStore, ...] = ()
    reducer: Reducer | None = None

    @property
    def stores(self) -> tuple[BufferStore, ...]:
        """All that is assigned."""
        return (self.body, *self.more)

    @property
    def inits(self) -> tuple[BufferStore, ...]:
        """All that is assigned first; empty if nothing is."""
        return () if self.init is None else (self.init, *self.more_init)


@dataclass(frozen=True)
class Opaque(Stmt):
    """A statement known to schedules by its buffers only: it may read all of some, and write all of others.

    Members:
        name: unique among blocks.
        reads: in the order of the arguments.
        writes: the arguments behind them, to be filled.
    """

    name: str
    reads: tuple[Buffer, ...]
    writes: tuple[Buffer, ...]


@dataclass(frozen=True)
class Extern(Opaque):
    """Code outside of the program.

    Members:
        function: takes the numpy arrays of the buffers; those that it reads are read-only.
    """

    function: Callable[..., None]


@dataclass(frozen=True)
class Procedure(Opaque):
    """Statements without blocks, in the order that they are written: irregular work.

    Only here the flow may depend on elements: `IfThenElse`, `While`, `Break`, `Continue`. A scalar variable
    is a buffer of rank 0.

    Members:
        body: the statements.
    """

    body: Stmt


@dataclass(frozen=True)
class IfThenElse(Stmt):
    """`then` where the condition holds, else `otherwise`, if there is one."""

    condition: Expr
    then: Stmt
    otherwise: Stmt | None = None


@dataclass(frozen=True)
class While(Stmt):
    """`body` again and again, as long as the condition holds before it."""

    condition: Expr
    body: Stmt


@dataclass(frozen=True)
class Break(Stmt):
    """Leaves the innermost enclosing loop, a `For` or a `While`."""


@dataclass(frozen=True)
class Continue(Stmt):
    """Goes on with the next iteration of the innermost enclosing loop."""


@dataclass(frozen=True)
class Allocate(Stmt):
    """A buffer that exists in `body`; each execution is a new instance with unknown contents."""

    buffer: Buffer
    body: Stmt


@dataclass(frozen=True)
class IntrinsicStmt(Stmt):
    """A loop nest that one instruction of the target computes; its meaning is that of `body`."""

    name: str
    body: Stmt


@dataclass(frozen=True)
class PrimFunc:
    """A loop program over buffers of the caller.

    Members:
        name: of the function.
        parameters: global buffers, inputs first, then outputs.
        outputs: the number of outputs, which are the last parameters.
        body: the loops.
    """

    name: str
    parameters: tuple[Buffer, ...]
    outputs: int
    body: Stmt
