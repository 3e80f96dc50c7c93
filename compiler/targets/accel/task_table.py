"""Tasks as columns: what placement, tokens and encoding need of them, without an object for each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter

from tilewright.compiler.targets.accel.task import Instance, Task
from tilewright.compiler.tir.buffer import Buffer
from tilewright.isa.encoding import KINDS, ClassTable, IntArray
from tilewright.isa.instruction import Opcode

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

    def tasks(self) -> list[Task]:
        """The tasks as objects, for people to read."""
        found = [task for opcode, part in self.classes.items() for task in self._tasks_of(opcode, part)]
        return [task for _, task in sorted(found, key=itemgetter(0))]

    def _tasks_of(self, opcode: Opcode, part: TaskClass) -> Iterator[tuple[int, Task]]:
        """The tasks of one class, with their positions."""
        rows, names = part.table.rows.tolist(), list(part.table.fields)
        layers = [span.name for span in self.layers for _ in range(span.count)]
        values = zip(*(column.tolist() for column in part.table.fields.values()), strict=True)
        used = zip(*(part.operands[name].tolist() for name in OPERANDS[opcode]), strict=True)
        for row, fields, numbers, memory in zip(rows, values, used, part.memory.tolist(), strict=True):
            operands = {
                name: self.instances[number]
                for name, number in zip(OPERANDS[opcode], numbers, strict=True)
                if number >= 0
            }
            instruction = KINDS[opcode](**dict(zip(names, fields, strict=True)))
            source = None if memory < 0 else self.memories[memory]
            yield row, Task(layers[row], instruction, operands, source)
