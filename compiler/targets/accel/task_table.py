"""Tasks as columns: what placement, tokens and encoding need of them, without an object for each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Generic, TypeVar

import numpy as np

from tilewright.compiler.targets.accel.task import Instance, Task
from tilewright.compiler.tir.buffer import Buffer
from tilewright.isa.encoding import KINDS, ClassTable, IntArray
from tilewright.isa.instruction import Opcode, specs

_T = TypeVar("_T")

OPERANDS: Mapping[Opcode, tuple[str, ...]] = {
    Opcode.LOAD: ("address",),
    Opcode.STORE: ("address",),
    Opcode.MATRIX: ("activation", "weight", "accumulator"),
    Opcode.VECTOR: ("destination", "a", "b", "parameter"),
}
"""The fields of each class that hold an address on the chip."""


@dataclass(frozen=True)
class LayerSpan:
    """The instructions of a layer: `count` of them from `first` on."""

    name: str
    first: int
    count: int


@dataclass(frozen=True)
class TaskClass:
    """The tasks of one class.

    Members:
        table: positions in the list, and fields; addresses are those of the tasks.
        operands: by field the number of each one's instance, int64[k]; -1 where it has none.
        memory: the number of each one's global buffer, int64[k]; -1 where it has none.
    """

    table: ClassTable
    operands: Mapping[str, IntArray]
    memory: IntArray


@dataclass(frozen=True)
class TaskTable:
    """A list of tasks.

    Members:
        layers: in their order, by positions in the list.
        classes: of the instructions.
        instances: those that tasks name; their numbers index this.
        memories: the global buffers that tasks name; their numbers index this.
    """

    layers: tuple[LayerSpan, ...]
    classes: Mapping[Opcode, TaskClass]
    instances: tuple[Instance, ...]
    memories: tuple[Buffer, ...]

    def __len__(self) -> int:
        return sum(len(part.table.rows) for part in self.classes.values())

    @classmethod
    def of(cls, tasks: Sequence[Task]) -> "TaskTable":
        """The table of a list of tasks."""
        instances: _Numbers[Instance] = _Numbers()
        memories: _Numbers[Buffer] = _Numbers()
        rows: dict[Opcode, list[int]] = {opcode: [] for opcode in OPERANDS}
        for row, task in enumerate(tasks):
            rows[task.instruction.opcode].append(row)
        classes = {
            opcode: _class_of(opcode, positions, tasks, instances, memories)
            for opcode, positions in rows.items()
        }
        return cls(tuple(_layers(tasks)), classes, tuple(instances.things), tuple(memories.things))


class _Numbers(Generic[_T]):
    """Things by number, equal ones once."""

    def __init__(self) -> None:
        self.things: list[_T] = []
        self._by_value: dict[_T, int] = {}
        # Most come again as the same object, which needs no comparison; the tasks keep them alive.
        self._by_identity: dict[int, int] = {}

    def __call__(self, thing: _T | None) -> int:
        """The number of a thing; -1 of None."""
        if thing is None:
            return -1
        number = self._by_identity.get(id(thing))
        if number is None:
            number = self._by_value.setdefault(thing, len(self.things))
            self._by_identity[id(thing)] = number
            if number == len(self.things):
                self.things.append(thing)
        return number


def _class_of(
    opcode: Opcode,
    rows: list[int],
    tasks: Sequence[Task],
    instances: _Numbers[Instance],
    memories: _Numbers[Buffer],
) -> TaskClass:
    chosen = [tasks[row] for row in rows]
    names = tuple(specs(KINDS[opcode]))
    fields = np.array([attrgetter(*names)(task.instruction) for task in chosen], np.int64)
    columns = fields.reshape(-1, len(names)).T
    operands = {
        name: np.array([instances(task.operands.get(name)) for task in chosen], np.int64)
        for name in OPERANDS[opcode]
    }
    return TaskClass(
        table=ClassTable(np.array(rows, np.int64), dict(zip(names, columns, strict=True))),
        operands=operands,
        memory=np.array([memories(task.memory) for task in chosen], np.int64),
    )


def _layers(tasks: Sequence[Task]) -> Iterator[LayerSpan]:
    first = 0
    for name, group in groupby(tasks, key=attrgetter("layer")):
        count = sum(1 for _ in group)
        yield LayerSpan(name, first, count)
        first += count
