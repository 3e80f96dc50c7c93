"""Task streams: what happens while the loops outside of intrinsics run, in its order, in columns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum, auto

import numpy as np

from tilewright.compiler.targets.accel.intrinsic.intrinsic import Intrinsic
from tilewright.compiler.targets.accel.intrinsic.iteration import Iterations
from tilewright.compiler.tir.buffer import Buffer
from tilewright.isa.encoding import IntArray


class EventKind(IntEnum):
    """What an event is."""

    WORK = auto()
    """An intrinsic runs."""
    ENTER = auto()
    """An execution of an `Allocate` begins."""
    LEAVE = auto()
    """It ends."""
    FILL = auto()
    """Its loads are due, if they are needed."""
    YIELD = auto()
    """A virtual thread yields."""
    BEGIN = auto()
    """What follows is issued behind all that was before; steps count from 0 again."""
    STEP = auto()
    """An iteration of a pipelined loop ended."""
    PLACE = auto()
    """What follows is issued in a step, counted from the present one, at a position in it."""


@dataclass(frozen=True)
class Source:
    """What events come from, one for each of some iterations.

    Members:
        kind: of the events.
        number: of the work or the execution of `Allocate`.
        offset, position: of a place.
    """

    kind: EventKind
    number: int = -1
    offset: int = 0
    position: float = 0


@dataclass(frozen=True)
class Stream:
    """Events in their order, those of each iteration outside behind those of the one before.

    Members:
        owner: int64[n], the iteration outside that each belongs to, ascending.
        source: int64[n], by number.
        row: int64[n], the iteration of its source.
    """

    owner: IntArray
    source: IntArray
    row: IntArray

    def __len__(self) -> int:
        return len(self.owner)

    def around(self, owner: IntArray) -> "Stream":
        """The same for the iterations `owner`, int64, that the present ones belong to."""
        return Stream(owner[self.owner], self.source, self.row)

    def taken(self, which: IntArray) -> "Stream":
        """Some of the events."""
        return Stream(self.owner[which], self.source[which], self.row[which])

    @staticmethod
    def joined(parts: Sequence["Stream"]) -> "Stream":
        """In each iteration the events of one part after those of the other."""
        if len(parts) == 1:
            return parts[0]
        none = np.zeros(0, np.int64)
        owner, source, row = (
            np.concatenate([none, *(getattr(part, name) for part in parts)])
            for name in ("owner", "source", "row")
        )
        return Stream(owner, source, row).taken(np.argsort(owner, kind="stable"))


@dataclass(frozen=True)
class Work:
    """The executions of an intrinsic.

    Members:
        intrinsic: which one.
        instructions: int64[n, fields], of each execution.
        operands: by the field that names it, the number of its `Allocation`, and of each execution that which
            it uses, int64[n].
    """

    intrinsic: Intrinsic
    instructions: IntArray
    operands: Mapping[str, tuple[int, IntArray]]


@dataclass
class Allocation:
    """The executions of an `Allocate`.

    Members:
        buffer: what it allocates.
        rows: the iterations in which it runs.
        shape: its extents there, int64[rows, axes].
        loads: the work that makes each instance, if loads alone do.
    """

    buffer: Buffer
    rows: Iterations
    shape: IntArray
    loads: Stream | None = None


@dataclass
class Trace:
    """All that streams name by number.

    Members:
        at_least: is told how many tasks there are at least, before more are made.
        sources: of events.
        works: the intrinsics.
        allocations: the executions of each `Allocate`.
        tasks: how many there are surely, so far.
    """

    at_least: Callable[[int], object]
    sources: list[Source] = field(default_factory=list)
    works: list[Work] = field(default_factory=list)
    allocations: list[Allocation] = field(default_factory=list)
    tasks: int = 0
    _is_certain: bool = True
    _by_name: dict[str, int] = field(default_factory=dict)

    def will_do(self, count: int) -> None:
        """So many tasks come."""
        if self._is_certain:
            self.tasks += count
            self.at_least(self.tasks)

    @contextmanager
    def uncertain(self) -> Iterator[None]:
        """Tasks come that might be left out."""
        self._is_certain = False
        yield
        self._is_certain = True

    def events(self, source: Source, owner: IntArray) -> Stream:
        """An event in each of the iterations `owner`, int64[n]."""
        self.sources.append(source)
        return Stream(owner, np.full(len(owner), len(self.sources) - 1), np.arange(len(owner)))

    def allocate(self, allocation: Allocation) -> int:
        """The number of executions of an `Allocate`."""
        self.allocations.append(allocation)
        number = self._by_name[allocation.buffer.name] = len(self.allocations) - 1
        return number

    def work(self, intrinsic: Intrinsic, instructions: IntArray, rows: Iterations) -> int:
        """The number of executions of an intrinsic in some iterations."""
        operands = {}
        for name, buffer in intrinsic.operands.items():
            number = self._by_name[buffer.name]
            operands[name] = number, rows.within(self.allocations[number].rows)
        self.works.append(Work(intrinsic, instructions, operands))
        return len(self.works) - 1

    def kinds(self, stream: Stream) -> IntArray:
        """The kind of each event, int64[n]."""
        return np.array([source.kind for source in self.sources], np.int64)[stream.source]
