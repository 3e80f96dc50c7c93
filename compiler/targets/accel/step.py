"""Steps: the statements outside of intrinsics, made ready to run in all of their iterations at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tilewright.compiler.targets.accel.buffer_slot import EnumerateError
from tilewright.compiler.targets.accel.intrinsic.affine import Number
from tilewright.compiler.targets.accel.intrinsic.error import MismatchError
from tilewright.compiler.targets.accel.intrinsic.intrinsic import Intrinsic
from tilewright.compiler.targets.accel.intrinsic.iteration import Iterations
from tilewright.compiler.targets.accel.task_stream import Allocation, EventKind, Source, Stream, Trace
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.printer import print_stmt
from tilewright.compiler.tir.stmt import Stmt


class Step:
    """A statement, made ready to run."""

    def run(self, trace: Trace, rows: Iterations) -> Stream:
        """What happens in some iterations of the loops around."""
        raise NotImplementedError


@dataclass
class SequenceStep(Step):
    """One part after the other."""

    parts: Sequence[Step]

    def run(self, trace: Trace, rows: Iterations) -> Stream:
        """Each part, in each iteration."""
        return Stream.joined([part.run(trace, rows) for part in self.parts])


@dataclass
class LoopStep(Step):
    """A loop.

    Members:
        name: of its variable.
        extent: by the variables outside.
        body: what is inside.
        yields: whether a virtual thread around yields between its iterations.
    """

    name: str
    extent: Number
    body: Step
    yields: bool = False

    def inside(self, rows: Iterations) -> Iterations:
        """Its iterations."""
        return rows.inside(self.name, self.extent(rows))

    def run(self, trace: Trace, rows: Iterations) -> Stream:
        """The body, in each iteration."""
        inner = self.inside(rows)
        stream = self.body.run(trace, inner)
        if self.yields:
            later = np.flatnonzero(inner[self.name])
            stream = Stream.joined([trace.events(Source(EventKind.YIELD), later), stream])
        return stream.around(inner.which)


@dataclass
class ThreadsStep(LoopStep):
    """A loop whose iterations are threads: by turns, each until it yields."""

    def run(self, trace: Trace, rows: Iterations) -> Stream:
        """The turns of all threads; yields are those of a thread around, too."""
        inner = self.inside(rows)
        stream = self.body.run(trace, inner)
        yields = trace.kinds(stream) == EventKind.YIELD
        before = np.cumsum(yields) - yields
        first = np.searchsorted(stream.owner, np.arange(inner.count))
        turn = before - np.append(before, 0)[first][stream.owner]
        order = np.lexsort((stream.owner, turn, inner.which[stream.owner]))
        if not self.yields:
            order = order[~yields[order]]
        return stream.around(inner.which).taken(order)


@dataclass
class AcrossStep(LoopStep):
    """A loop around a pipelined one, whose iterations the steps go on over: those of the outermost are anew.

    Members:
        is_outermost: whether it is that.
    """

    is_outermost: bool = False

    def run(self, trace: Trace, rows: Iterations) -> Stream:
        """The body, in each iteration."""
        inner = self.inside(rows)
        place = trace.events(Source(EventKind.PLACE), np.arange(inner.count))
        stream = Stream.joined([place, self.body.run(trace, inner)])
        return self.apart(trace, rows, stream.around(inner.which))

    def apart(self, trace: Trace, rows: Iterations, stream: Stream) -> Stream:
        """Behind all before it, and before all behind it, if it is the outermost."""
        if not self.is_outermost:
            return stream
        begin, end = (trace.events(Source(EventKind.BEGIN), np.arange(rows.count)) for _ in range(2))
        return Stream.joined([begin, stream, end])


@dataclass
class PipelinedStep(AcrossStep):
    """A pipelined loop.

    Members:
        drain: steps from that of its last iteration to what stands behind it.
    """

    drain: int = 0

    def run(self, trace: Trace, rows: Iterations) -> Stream:
        """The body, in each iteration."""
        inner = self.inside(rows)
        step = trace.events(Source(EventKind.STEP), np.arange(inner.count))
        stream = Stream.joined([self.body.run(trace, inner), step]).around(inner.which)
        behind = Source(EventKind.PLACE, offset=self.drain - 1, position=np.inf)
        return self.apart(trace, rows, Stream.joined([stream, trace.events(behind, np.arange(rows.count))]))


@dataclass
class StageStep(Step):
    """A stage of a pipelined loop.

    Members:
        offset: steps behind that of its iteration.
        position: in the step.
        body: what it does.
    """

    offset: int
    position: int
    body: Step

    def run(self, trace: Trace, rows: Iterations) -> Stream:
        """The body, at its place."""
        place = Source(EventKind.PLACE, offset=self.offset, position=self.position)
        return Stream.joined([trace.events(place, np.arange(rows.count)), self.body.run(trace, rows)])


@dataclass
class WorkStep(Step):
    """An intrinsic.

    Members:
        intrinsic: what it is.
        statement: its loop nest.
    """

    intrinsic: Intrinsic
    statement: Stmt

    def run(self, trace: Trace, rows: Iterations) -> Stream:
        """An instruction in each iteration in which its loops have some."""
        own = self.intrinsic.nest.some(rows)
        trace.will_do(own.count)
        try:
            instructions = self.intrinsic.instructions(own)
        except MismatchError as error:
            variables = _first_refused(self.intrinsic, own)
            text = f"a {self.intrinsic.name} intrinsic is no instruction at {variables}: {error}"
            raise EnumerateError(f"{text}\n{print_stmt(self.statement)}") from error
        number = trace.work(self.intrinsic, instructions, own)
        return trace.events(Source(EventKind.WORK, number), own.within(rows))


def _first_refused(intrinsic: Intrinsic, rows: Iterations) -> dict[str, int]:
    """The variables of the first iteration that is no instruction, of some of which one is none."""
    while rows.count > 1:
        first, last = np.split(np.arange(rows.count), [rows.count // 2])
        try:
            intrinsic.instructions(rows.taken(first))
            rows = rows.taken(last)
        except MismatchError:
            rows = rows.taken(first)
    return rows.at(0)


@dataclass
class FillStep(Step):
    """Loads that alone make an instance: they run where they stand, if they are needed.

    Members:
        buffer: what they fill.
        loads: what they are; `AllocateStep` runs them.
        number: of the allocation, once it runs.
    """

    buffer: str
    loads: Step
    number: int = -1

    def run(self, trace: Trace, rows: Iterations) -> Stream:
        """A mark where they stand."""
        return trace.events(Source(EventKind.FILL, self.number), np.arange(rows.count))


@dataclass
class AllocateStep(Step):
    """An `Allocate`.

    Members:
        buffer: what it allocates.
        shape: extents, by the variables outside.
        fills: all that fills it, if loads alone do.
        body: what uses it.
    """

    buffer: Buffer
    shape: Sequence[Number]
    fills: Sequence[FillStep]
    body: Step

    def run(self, trace: Trace, rows: Iterations) -> Stream:
        """The body, with an instance in each iteration."""
        shape = np.empty((rows.count, len(self.shape)), np.int64)
        for axis, extent in enumerate(self.shape):
            shape[:, axis] = extent(rows)
        allocation = Allocation(self.buffer, rows, shape)
        number = trace.allocate(allocation)
        if self.fills:
            with trace.uncertain():
                loads = Stream.joined([fill.loads.run(trace, rows) for fill in self.fills])
            allocation.loads = loads.taken(np.flatnonzero(trace.kinds(loads) == EventKind.WORK))
        for fill in self.fills:
            fill.number = number
        every = np.arange(rows.count)
        enter = trace.events(Source(EventKind.ENTER, number), every)
        body = self.body.run(trace, rows)
        return Stream.joined([enter, body, trace.events(Source(EventKind.LEAVE, number), every)])


def straight_steps(step: Step) -> Iterator[Step]:
    """The steps that run once where a step does, but for sequences and `Allocate`."""
    match step:
        case SequenceStep(parts=parts):
            for part in parts:
                yield from straight_steps(part)
        case AllocateStep(body=body) | StageStep(body=body):
            yield from straight_steps(body)
        case _:
            yield step
