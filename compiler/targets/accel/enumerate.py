"""Enumerate: run the loops outside of intrinsics, with numbers; what is left is a list of tasks.

All iterations of a loop run at once: its variable is a column, and so is whatever depends on it. What happens
is a stream of events in order: intrinsics run, executions of an `Allocate` begin and end. Inside of
a loop the stream has its iterations one after the other; around a loop they belong to fewer.

Each execution of an `Allocate` takes one of the buffer's slots that are not in use: that whose last use
ended longest ago; the instance that was there is gone. If loads of memory that nobody writes are all that
fills a buffer, an instance is the same wherever these loads are the same: one that is still there is taken as
it is, and its loads are left out.

Iterations of a virtual-thread loop are interleaved: a thread yields after each iteration of a loop inside but
the last. Threads share what they would fill alike.

A pipelined loop runs in order, too, and each task has the step in which it is issued: by that, tasks are
sorted in the end.
"""

from collections.abc import Callable, Iterator

from tilewright.compiler.targets.accel.buffer_slot import EnumerateError
from tilewright.compiler.targets.accel.intrinsic.affine import compiled
from tilewright.compiler.targets.accel.intrinsic.error import MismatchError
from tilewright.compiler.targets.accel.intrinsic.iteration import Iterations
from tilewright.compiler.targets.accel.intrinsic.limits import Limits
from tilewright.compiler.targets.accel.intrinsic.table import INTRINSICS, matched
from tilewright.compiler.targets.accel.issue import issued
from tilewright.compiler.targets.accel.step import (
    AcrossStep,
    AllocateStep,
    FillStep,
    LoopStep,
    PipelinedStep,
    SequenceStep,
    StageStep,
    Step,
    ThreadsStep,
    WorkStep,
    straight_steps,
)
from tilewright.compiler.targets.accel.task_stream import Trace
from tilewright.compiler.targets.accel.task_table import TaskTable
from tilewright.compiler.tir.bound import Domain
from tilewright.compiler.tir.buffer import Buffer, MemoryScope
from tilewright.compiler.tir.expr import BufferLoad
from tilewright.compiler.tir.issue_order import loops_across, stage_places
from tilewright.compiler.tir.printer import print_stmt
from tilewright.compiler.tir.stmt import (
    Allocate,
    Block,
    For,
    IntrinsicStmt,
    LoopKind,
    PrimFunc,
    Seq,
    Stmt,
)
from tilewright.compiler.tir.walk import children, nodes, statements
from tilewright.isa.config import Config


def enumerated(
    function: PrimFunc, layer: str, config: Config, at_least: Callable[[int], object] = lambda count: None
) -> TaskTable:
    """The tasks of a tensorised function, in the order in which they may run.

    Args:
        function: every block is inside of an intrinsic.
        layer: the name that the tasks carry.
        config: the machine.
        at_least: is told, again and again, how many tasks there are at least, before these are made; it may
            raise.

    Raises:
        EnumerateError: if a block is outside of intrinsics, an intrinsic is not one instruction with its
            numbers, or more instances of a buffer are in use at a time than its depth.
    """
    trace = Trace(at_least)
    root = _Planner(function, Limits.of(config)).step(function.body, {})
    return issued(trace, root.run(trace, Iterations(1, {})), layer)


class _Planner:
    """Turns statements into steps: matches every intrinsic once, finds what fills each buffer."""

    def __init__(self, function: PrimFunc, limits: Limits) -> None:
        self._limits = limits
        self._written = {block.body.buffer.name for block in _blocks(function.body)}
        self._fills: dict[int, str] = {}
        # Of stages of pipelined loops: offset and position in a step.
        self._stages: dict[int, tuple[int, int]] = {}
        self._across = loops_across(function.body)
        self._threads = 0

    def step(self, stmt: Stmt, domain: Domain) -> Step:
        """The statement, below the loops of `domain`."""
        buffer = self._fills.get(id(stmt))
        step = self._step(stmt, domain)
        if buffer is not None:
            step = FillStep(buffer, step)
        return StageStep(*self._stages[id(stmt)], step) if id(stmt) in self._stages else step

    def _step(self, stmt: Stmt, domain: Domain) -> Step:
        match stmt:
            case Seq(body=body):
                return SequenceStep([self.step(part, domain) for part in body])
            case For():
                return self._loop(stmt, domain)
            case Allocate(buffer=buffer, body=body):
                return self._allocation(buffer, body, domain)
            case IntrinsicStmt():
                return self._work(stmt, domain)
        raise EnumerateError(
            f"outside of intrinsics, only loops can run; tensorise first:\n{print_stmt(stmt)}"
        )

    def _loop(self, loop: For, domain: Domain) -> Step:
        if loop.pipelining is not None:
            self._stages |= stage_places(loop)
        name, extent = loop.var.name, compiled(loop.extent)
        is_threads, yields = loop.kind is LoopKind.VIRTUAL_THREAD, self._threads > 0
        self._threads += is_threads
        inner = self.step(loop.body, {**domain, name: loop.extent})
        self._threads -= is_threads
        if loop.pipelining is not None:
            across, drain = self._across[name], loop.pipelining.drain
            return PipelinedStep(name, extent, inner, is_outermost=across, drain=drain)
        if name in self._across:
            return AcrossStep(name, extent, inner, is_outermost=self._across[name])
        return (ThreadsStep if is_threads else LoopStep)(name, extent, inner, yields)

    def _allocation(self, buffer: Buffer, body: Stmt, domain: Domain) -> AllocateStep:
        self._fills |= {id(stmt): buffer.name for stmt in self._filling(buffer, body)}
        step = self.step(body, domain)
        shape = [compiled(extent) for extent in buffer.shape]
        fills = [each for each in straight_steps(step) if isinstance(each, FillStep)]
        return AllocateStep(buffer, shape, [each for each in fills if each.buffer == buffer.name], step)

    def _filling(self, buffer: Buffer, body: Stmt) -> list[Stmt]:
        """The statements that alone write a buffer, from memory that nobody writes; else none."""
        found = [stmt for stmt in _straight(body) if self._is_fill(buffer, stmt)]
        writes = sum(_writes(stmt, buffer) for stmt in found)
        return found if writes and writes == _writes(body, buffer) else []

    def _is_fill(self, buffer: Buffer, stmt: Stmt) -> bool:
        plain = not any(isinstance(s, Allocate) for s in statements(stmt))
        return plain and all(self._is_load(buffer, block) for block in _blocks(stmt))

    def _is_load(self, buffer: Buffer, block: Block) -> bool:
        sources = [load.buffer for load in _loads(block)]
        constant = all(
            source.scope is MemoryScope.GLOBAL and source.name not in self._written for source in sources
        )
        return block.body.buffer == buffer and bool(sources) and constant

    def _work(self, stmt: IntrinsicStmt, domain: Domain) -> WorkStep:
        if stmt.name not in INTRINSICS:
            raise EnumerateError(f"intrinsic must be one of {', '.join(INTRINSICS)}, not {stmt.name!r}")
        try:
            return WorkStep(matched(stmt.name, stmt.body, domain, self._limits), stmt.body)
        except MismatchError as error:
            raise EnumerateError(f"intrinsic {stmt.name!r} does not stand for its body: {error}") from error


def _blocks(stmt: Stmt) -> Iterator[Block]:
    return (each for each in statements(stmt) if isinstance(each, Block))


def _loads(block: Block) -> list[BufferLoad]:
    store = block.body
    return [
        node for expr in (store.value, *store.indices) for node in nodes(expr) if isinstance(node, BufferLoad)
    ]


def _writes(stmt: Stmt, buffer: Buffer) -> int:
    """How many blocks of a statement write a buffer."""
    return sum(block.body.buffer.name == buffer.name for block in _blocks(stmt))


def _straight(stmt: Stmt) -> Iterator[Stmt]:
    """The statements that run once where a statement does."""
    if isinstance(stmt, Seq | Allocate):
        for child in children(stmt):
            yield from _straight(child)
    else:
        yield stmt
