"""Issue: from what happens while loops run to the list of tasks, with the instances that they use."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tilewright.compiler.targets.accel.buffer_slot import Served, serve, too_shallow
from tilewright.compiler.targets.accel.task import Instance
from tilewright.compiler.targets.accel.task_stream import Allocation, EventKind, Stream, Trace
from tilewright.compiler.targets.accel.task_table import OPERANDS, LayerSpan, TaskClass, TaskTable
from tilewright.compiler.tir.buffer import Buffer
from tilewright.isa.encoding import KINDS, ClassTable, IntArray
from tilewright.isa.instruction import Opcode, specs


def issued(trace: Trace, stream: Stream, layer: str) -> TaskTable:
    """The tasks of a stream, in the order in which they are issued.

    Raises:
        EnumerateError: if more instances of a buffer are in use at a time than its depth.
    """
    return _Issue(trace, stream).table(layer)


@dataclass(frozen=True)
class _Tasks:
    """Tasks in their order: place among the events, number of the work, and its execution, int64[n] each."""

    place: IntArray
    work: IntArray
    row: IntArray

    def taken(self, which: IntArray) -> "_Tasks":
        return _Tasks(self.place[which], self.work[which], self.row[which])


class _Issue:
    def __init__(self, trace: Trace, stream: Stream) -> None:
        self._trace, self._stream, self._kinds = trace, stream, trace.kinds(stream)
        self._numbers = np.array([source.number for source in trace.sources], np.int64)
        self._served = [self._serve(number) for number in range(len(trace.allocations))]
        counts = [allocation.rows.count for allocation in trace.allocations]
        # Executions of all `Allocate`: those of each from its first on.
        self._firsts = np.cumsum([0, *counts])

    # --- instances -----------------------------------------------------------------------------------------

    def _serve(self, number: int) -> Served:
        """The slots of the executions of an `Allocate`."""
        allocation, stream = self._trace.allocations[number], self._stream
        of_buffers = np.isin(self._kinds, (EventKind.ENTER, EventKind.LEAVE, EventKind.FILL))
        places = np.flatnonzero(of_buffers & (self._numbers[stream.source] == number))
        kinds, rows = self._kinds[places], stream.row[places]
        if allocation.loads is None:
            in_use = np.cumsum(kinds == EventKind.ENTER) - np.cumsum(kinds == EventKind.LEAVE)
            if in_use.max(initial=0) > allocation.buffer.depth:
                raise too_shallow(allocation.buffer)
            return Served(np.arange(allocation.rows.count))
        contents = self._contents(allocation, allocation.loads)
        events = zip(places.tolist(), kinds.tolist(), rows.tolist(), strict=True)
        return serve(allocation.buffer, contents, events)

    def _contents(self, allocation: Allocation, loads: Stream) -> list[bytes | None]:
        """What the loads of each execution are; None where there are none."""
        works = self._numbers[loads.source]
        memories = np.array([id(work.intrinsic.memory) for work in self._trace.works], np.int64)
        fields = [memories[works], allocation.shape[loads.owner], self._instructions(works, loads.row)]
        rows = np.column_stack(fields)
        ends = np.searchsorted(loads.owner, np.arange(allocation.rows.count + 1)).tolist()
        return [rows[a:b].tobytes() if a < b else None for a, b in pairwise(ends)]

    def _instructions(self, works: IntArray, rows: IntArray) -> IntArray:
        """Those of works of one class."""
        first = self._trace.works[works[0]].instructions if len(works) else np.zeros((0, 0), np.int64)
        found = np.empty((len(works), first.shape[1]), np.int64)
        for number in np.unique(works).tolist():
            own = works == number
            found[own] = self._trace.works[number].instructions[rows[own]]
        return found

    # --- tasks ---------------------------------------------------------------------------------------------

    def _tasks(self) -> _Tasks:
        places = np.flatnonzero(self._kinds == EventKind.WORK)
        stream = self._stream.taken(places)
        parts = [_Tasks(places, self._numbers[stream.source], stream.row), *self._fills()]
        columns = [[getattr(part, name) for part in parts] for name in ("place", "work", "row")]
        tasks = _Tasks(*map(np.concatenate, columns))
        tasks = tasks.taken(np.argsort(tasks.place, kind="stable"))
        return tasks.taken(np.lexsort([key[tasks.place] for key in self._places()]))

    def _fills(self) -> Iterator[_Tasks]:
        """The loads that are needed, where they are."""
        for allocation, served in zip(self._trace.allocations, self._served, strict=True):
            if allocation.loads is not None and served.fills:
                places, executions = np.array(served.fills).T
                loads = allocation.loads
                first, end = (np.searchsorted(loads.owner, executions + step) for step in (0, 1))
                counts = end - first
                which = np.repeat(end - np.cumsum(counts), counts) + np.arange(counts.sum())
                chosen = loads.taken(which)
                yield _Tasks(np.repeat(places, counts), self._numbers[chosen.source], chosen.row)

    def _places(self) -> Sequence[IntArray]:
        """Where each event is issued: position, step and pipeline."""
        begins, steps = self._kinds == EventKind.BEGIN, np.cumsum(self._kinds == EventKind.STEP)
        sets = begins | (self._kinds == EventKind.PLACE)
        last_begin, last_set = _last(begins), _last(sets)
        step = steps - np.where(last_begin >= 0, steps[last_begin], 0)
        sources = self._trace.sources
        offset, position = (
            np.array([getattr(source, name) for source in sources])[self._stream.source]
            for name in ("offset", "position")
        )
        keys = position, step + offset, np.cumsum(begins)
        return [np.where(last_set >= 0, key[last_set], 0) for key in keys]

    # --- columns -------------------------------------------------------------------------------------------

    def table(self, layer: str) -> TaskTable:
        """All tasks as columns."""
        tasks, works = self._tasks(), self._trace.works
        memories = list(dict.fromkeys(work.intrinsic.memory for work in works if work.intrinsic.memory))
        opcodes = np.array([work.intrinsic.kind.opcode for work in works], np.int64)[tasks.work]
        used = self._used(tasks)
        classes = {
            opcode: self._class(opcode, tasks, np.flatnonzero(opcodes == opcode), used, memories)
            for opcode in OPERANDS
        }
        count = len(tasks.place)
        layers = (LayerSpan(layer, 0, count),) if count else ()
        return TaskTable(layers, classes, tuple(self._instances(used)), tuple(memories))

    def _used(self, tasks: _Tasks) -> IntArray:
        """The executions, of all `Allocate`, whose instances tasks name, ascending."""
        names = {name for own in OPERANDS.values() for name in own}
        executions = np.unique(np.concatenate([self._operand(name, tasks) for name in names]))
        return executions[executions >= 0]

    def _class(
        self, opcode: Opcode, tasks: _Tasks, rows: IntArray, used: IntArray, memories: Sequence[Buffer]
    ) -> TaskClass:
        """The tasks of one class, which stand at some rows."""
        own, names = tasks.taken(rows), specs(KINDS[opcode])
        values = self._instructions(own.work, own.row).reshape(-1, len(names))
        fields = dict(zip(names, np.ascontiguousarray(values.T), strict=True))
        operands = {}
        for name in OPERANDS[opcode]:
            executions = self._operand(name, own)
            operands[name] = np.where(executions < 0, -1, np.searchsorted(used, executions))
        works = [_index(memories, work.intrinsic.memory) for work in self._trace.works]
        return TaskClass(ClassTable(rows, fields), operands, np.array(works, np.int64)[own.work])

    def _operand(self, name: str, tasks: _Tasks) -> IntArray:
        """The execution, of all, whose instance a field of each task names; -1 without one."""
        found = np.full(len(tasks.work), -1)
        for number in np.unique(tasks.work).tolist():
            operand = self._trace.works[number].operands.get(name)
            if operand is not None:
                allocation, executions = operand
                own = tasks.work == number
                makers = self._served[allocation].makers[executions[tasks.row[own]]]
                found[own] = self._firsts[allocation] + makers
        return found

    def _instances(self, used: IntArray) -> Iterator[Instance]:
        """Those of some executions, numbered in the order in which these begin."""
        stream = self._stream.taken(np.flatnonzero(self._kinds == EventKind.ENTER))
        numbers = np.empty(len(stream), np.int64)
        numbers[self._firsts[self._numbers[stream.source]] + stream.row] = np.arange(len(stream))
        allocations = np.searchsorted(self._firsts, used, side="right") - 1
        for allocation in np.unique(allocations).tolist():
            own = used[allocations == allocation]
            source = self._trace.allocations[allocation]
            shapes = source.shape[own - self._firsts[allocation]].tolist()
            for number, shape in zip(numbers[own].tolist(), shapes, strict=True):
                yield Instance(source.buffer, number, tuple(shape))


def _index(buffers: Sequence[Buffer], buffer: Buffer | None) -> int:
    return -1 if buffer is None else buffers.index(buffer)


def _last(flags: IntArray) -> IntArray:
    """For each event the last one so far that is flagged; -1 if there is none."""
    return np.maximum.accumulate(np.where(flags, np.arange(len(flags)), -1))
