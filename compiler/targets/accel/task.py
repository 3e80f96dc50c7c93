"""Tasks: instructions with numbers, whose operands are instances of buffers without addresses yet.

Between enumeration, which makes them, and placement, which adds the address of each instance.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from tilewright.compiler.tir.buffer import Buffer
from tilewright.isa.assembly import format_instruction
from tilewright.isa.instruction import Instruction
from tilewright.isa.memory import Engine


@dataclass(frozen=True)
class Instance:
    """An instance of a buffer on the chip: what one execution of its `Allocate` makes.

    Members:
        buffer: what it is an instance of.
        number: unique in a list of tasks.
        shape: the extents that it has here, in elements; the last axis is the lane.
    """

    buffer: Buffer
    number: int
    shape: tuple[int, ...]

    @cached_property
    def vectors(self) -> int:
        """Its size in vectors, dense."""
        return prod(self.shape[:-1])


@dataclass(frozen=True)
class Task:
    """An instruction without addresses and tokens.

    Members:
        layer: which layer it belongs to.
        instruction: with every chip address relative to the first vector of the instance that it names (a
            matrix `activation` in slices, others in vectors), and the `offset` of a load or store in bytes
            from the first of the global buffer, base 0. It waits for nothing and signals nobody.
        operands: by the field that names it (`address`; `activation`, `weight`, `accumulator`;
            `destination`, `a`, `b`, `parameter`), the instances that the instruction uses.
        memory: the global buffer of a load or store; None too for a load of nothing but padding.
    """

    layer: str
    instruction: Instruction
    operands: Mapping[str, Instance]
    memory: Buffer | None

    @cached_property
    def engine(self) -> Engine:
        """The engine that runs it."""
        engine = self.instruction.engine
        assert engine is not None, "a task is work of an engine"
        return engine


def print_task(task: Task) -> str:
    """A task in a line: the instruction, and what each of its operands is an address in."""
    operands = [f"{field}: {each.buffer.name}#{each.number}" for field, each in task.operands.items()]
    memory = [f"memory: {task.memory.name}"] if task.memory is not None else []
    return f"{format_instruction(task.instruction)}  # {', '.join([*memory, *operands])}"
