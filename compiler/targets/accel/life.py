"""Lives: when tasks use the instances of each buffer, and which engines do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import permutations

from tilewright.compiler.targets.accel.bank import Demand
from tilewright.compiler.targets.accel.task import Instance, Task
from tilewright.compiler.tir.buffer import Buffer
from tilewright.isa.instruction import Instruction, Load, Matrix, Vector
from tilewright.isa.memory import Engine, Memory

_WRITTEN: dict[type[Instruction], str] = {Load: "address", Matrix: "accumulator", Vector: "destination"}
"""The operand that an instruction writes; it reads the others."""


@dataclass
class Life:
    """An instance, and the places of the first and the last task that names it."""

    instance: Instance
    first: int
    last: int


@dataclass
class Use:
    """How tasks use a buffer.

    Members:
        buffer: which one.
        layer: of the first task that uses it.
        lives: of its instances, by their first task.
        writers, readers: the engines.
        apart: buffers that must not share a bank with it; itself, if its instances must not with each other.
    """

    buffer: Buffer
    layer: str
    lives: dict[Instance, Life] = field(default_factory=dict)
    writers: set[Engine] = field(default_factory=set)
    readers: set[Engine] = field(default_factory=set)
    apart: set[Buffer] = field(default_factory=set)
    last: int = 0

    @property
    def memory(self) -> Memory:
        """Where its instances lie."""
        return Memory[self.buffer.scope.name]

    @property
    def first(self) -> int:
        """Place of the first task that uses it."""
        return next(iter(self.lives.values())).first

    def demand(self) -> Demand:
        """What it wants of its memory."""
        return Demand(
            name=self.buffer.name,
            memory=self.memory,
            vectors=max(1, *(instance.vectors for instance in self.lives)),
            slots=min(self.buffer.versions, len(self.lives)),
            writers=frozenset(self.writers),
            readers=frozenset(self.readers),
        )

    def add(self, instance: Instance, task: Task, place: int, written: bool) -> None:
        """Note that the task at `place` uses an instance."""
        self.lives.setdefault(instance, Life(instance, place, place)).last = place
        self.last = place
        (self.writers if written else self.readers).add(task.engine)


def uses(tasks: Sequence[Task]) -> list[Use]:
    """The use of each buffer on the chip, by their first tasks."""
    found: dict[Buffer, Use] = {}
    for place, task in enumerate(tasks):
        written = _WRITTEN.get(type(task.instruction))
        for name, instance in task.operands.items():
            use = found.get(instance.buffer)
            if use is None:
                use = found[instance.buffer] = Use(instance.buffer, task.layer)
            use.add(instance, task, place, name == written)
        if isinstance(task.instruction, Vector):
            for one, other in _apart(task):
                found[one.buffer].apart.add(other.buffer)
    return list(found.values())


def _apart(task: Task) -> Iterator[tuple[Instance, Instance]]:
    """The pairs of instances, in both orders, that a vector instruction needs in different banks."""
    moving = [(name, task.operands[name]) for name in ("destination", "a", "b") if name in task.operands]
    for (_, one), (_, other) in permutations(moving, 2):
        # The same instance: in place.
        if one.buffer.scope == other.buffer.scope and one != other:
            yield one, other


def groups(found: Sequence[Use]) -> Iterator[list[Use]]:
    """Uses that overlap in time, directly or through others; one group ends before the next begins."""
    group: list[Use] = []
    for use in sorted(found, key=lambda use: use.first):
        if group and use.first > max(other.last for other in group):
            yield group
            group = []
        group.append(use)
    if group:
        yield group
