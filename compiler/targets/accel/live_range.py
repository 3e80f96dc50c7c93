"""Live ranges: when tasks use the instances of each buffer, and which engines do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.targets.accel.bank import Demand
from tilewright.compiler.targets.accel.task import Instance
from tilewright.compiler.targets.accel.task_table import OPERANDS, LayerSpan, TaskTable
from tilewright.compiler.tir.buffer import Buffer
from tilewright.isa.instruction import Opcode
from tilewright.isa.memory import Engine, Memory

_WRITTEN = {Opcode.LOAD: "address", Opcode.MATRIX: "accumulator", Opcode.VECTOR: "destination"}
"""The operand that an instruction writes; it reads the others."""
_ENGINES = {
    Opcode.LOAD: Engine.LOAD,
    Opcode.STORE: Engine.STORE,
    Opcode.MATRIX: Engine.MATRIX,
    Opcode.VECTOR: Engine.VECTOR,
}


@dataclass(frozen=True)
class LiveRange:
    """An instance, and the positions of the first and the last task that names it."""

    instance: Instance
    first: int
    last: int


@dataclass
class Use:
    """The use of a buffer by tasks.

    Members:
        buffer: which one.
        layer: of the first task that uses it.
        live_ranges: of its instances, by number, in the order of their first tasks.
        traffic: vectors of its instances, for each task that uses them.
        writers, readers: the engines.
        interferes: buffers that must not share a bank with it; itself, if its instances must not with each
            other.
    """

    buffer: Buffer
    layer: str
    live_ranges: dict[int, LiveRange] = field(default_factory=dict)
    traffic: int = 0
    writers: set[Engine] = field(default_factory=set)
    readers: set[Engine] = field(default_factory=set)
    interferes: set[Buffer] = field(default_factory=set)

    @property
    def memory(self) -> Memory:
        """Where its instances lie."""
        return Memory[self.buffer.scope.name]

    @property
    def first(self) -> int:
        """Position of the first task that uses it."""
        return next(iter(self.live_ranges.values())).first

    @property
    def last(self) -> int:
        """Position of the last task that uses it."""
        return max(live_range.last for live_range in self.live_ranges.values())

    def demand(self) -> Demand:
        """Its demand on its memory."""
        vectors = [live_range.instance.vectors for live_range in self.live_ranges.values()]
        return Demand(
            name=self.buffer.name,
            memory=self.memory,
            vectors=max(1, *vectors),
            slots=min(self.buffer.depth, len(self.live_ranges)),
            writers=frozenset(self.writers),
            readers=frozenset(self.readers),
            traffic=self.traffic,
        )


def uses(table: TaskTable) -> list[Use]:
    """The use of each buffer on the chip, by their first tasks."""
    rows, instances, engines, writes = _operands(table).T
    order = np.argsort(rows, kind="stable")
    named, firsts = np.unique(instances[order], return_index=True)
    lasts = np.zeros(len(table.instances), np.int64)
    np.maximum.at(lasts, instances, rows)
    first_rows, tasks = rows[order][firsts], np.bincount(instances, minlength=len(table.instances))
    found: dict[Buffer, Use] = {}
    for index in np.argsort(firsts, kind="stable").tolist():
        number, first = int(named[index]), int(first_rows[index])
        instance = table.instances[number]
        use = found.get(instance.buffer)
        if use is None:
            use = found[instance.buffer] = Use(instance.buffer, _layer_at(table.layers, first))
        use.live_ranges[number] = LiveRange(instance, first, int(lasts[number]))
        use.traffic += instance.vectors * int(tasks[number])
    for number, engine, write in np.unique(np.stack([instances, engines, writes], axis=1), axis=0).tolist():
        use = found[table.instances[number].buffer]
        (use.writers if write else use.readers).add(Engine(engine))
    for one, other in _interferences(table):
        found[one].interferes.add(other)
        found[other].interferes.add(one)
    return list(found.values())


def _operands(table: TaskTable) -> NDArray[np.int64]:
    """Task, instance and engine of every operand, and whether it is written: int64[n, 4]."""
    blocks = []
    for opcode, names in OPERANDS.items():
        part = table.classes[opcode]
        for name in names:
            instances = part.operands[name]
            there = instances >= 0
            block = np.empty((int(there.sum()), 4), np.int64)
            block[:, 0], block[:, 1] = part.table.rows[there], instances[there]
            block[:, 2], block[:, 3] = _ENGINES[opcode], name == _WRITTEN.get(opcode)
            blocks.append(block)
    return np.concatenate(blocks)


def _layer_at(layers: Sequence[LayerSpan], row: int) -> str:
    return next(span.name for span in layers if row < span.first + span.count)


def _interferences(table: TaskTable) -> Iterator[tuple[Buffer, Buffer]]:
    """The pairs of buffers whose instances a vector instruction needs in different banks."""
    operands = table.classes[Opcode.VECTOR].operands
    for one, other in combinations(("destination", "a", "b"), 2):
        pairs = np.stack([operands[one], operands[other]], axis=1)
        # The same instance: in place.
        pairs = pairs[(pairs >= 0).all(axis=1) & (pairs[:, 0] != pairs[:, 1])]
        for first, second in np.unique(pairs, axis=0).tolist():
            buffers = table.instances[first].buffer, table.instances[second].buffer
            if buffers[0].scope == buffers[1].scope:
                yield buffers


def groups(found: Sequence[Use]) -> Iterator[list[Use]]:
    """Uses that overlap in time, directly or through others; one group ends before the next begins."""
    group: list[Use] = []
    end = -1
    for use in sorted(found, key=lambda use: use.first):
        if group and use.first > end:
            yield group
            group = []
        group.append(use)
        end = max(end, use.last)
    if group:
        yield group
