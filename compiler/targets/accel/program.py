"""Programs: tasks with addresses and tokens, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from tilewright.compiler.targets.accel.place import place
from tilewright.compiler.targets.accel.task import Instance, Task
from tilewright.compiler.targets.accel.token import with_tokens
from tilewright.compiler.tir.buffer import Buffer
from tilewright.isa.checker import check
from tilewright.isa.config import Config
from tilewright.isa.instruction import Finish, Instruction, Load, Store
from tilewright.numerics.error import TilewrightError


class ProgramError(TilewrightError):
    """Tasks that name what has no address."""


@dataclass(frozen=True)
class LayerSpan:
    """The instructions of a layer: `count` of them from `first` on."""

    name: str
    first: int
    count: int


@dataclass(frozen=True)
class Program:
    """What a machine runs.

    Members:
        instructions: the last one is finish.
        layers: in their order; together all instructions but the last.
    """

    instructions: tuple[Instruction, ...]
    layers: tuple[LayerSpan, ...]


def assemble(
    tasks: Sequence[Task],
    config: Config,
    addresses: Mapping[Buffer, tuple[int, int]],
    region_bytes: Mapping[int, int],
) -> Program:
    """The program that does tasks as if one after the other, in their order.

    Args:
        tasks: of all layers.
        config: the machine.
        addresses: of each global buffer the base register and the offset in bytes.
        region_bytes: of each base register the bytes behind it.

    Raises:
        ProgramError: if a global buffer has no address.
        PlaceError: if the buffers of a layer do not fit the chip.
        CheckError: if the tasks are not sound: outside of their buffers, for instance.
    """
    places = place(tasks, config)
    placed = [_placed(task, places, addresses, config) for task in tasks]
    instructions = with_tokens([*placed, Finish()], config)
    check(instructions, config, region_bytes=region_bytes).raise_for_problems()
    return Program(tuple(instructions), tuple(_layers(tasks)))


def _placed(
    task: Task, places: Mapping[Instance, int], addresses: Mapping[Buffer, tuple[int, int]], config: Config
) -> Instruction:
    """The instruction of a task with addresses on the chip and outside."""
    values = {}
    for name, instance in task.operands.items():
        units = config.slices if name == "activation" else 1
        values[name] = getattr(task.instruction, name) + places[instance] * units
    is_padding = isinstance(task.instruction, Load) and task.memory is None
    if isinstance(task.instruction, Load | Store) and not is_padding:
        values["base"], offset = _address(task, addresses)
        values["offset"] = task.instruction.offset + offset
    return replace(task.instruction, **values)


def _address(task: Task, addresses: Mapping[Buffer, tuple[int, int]]) -> tuple[int, int]:
    """The base register and the offset of the global buffer of a load or store."""
    if task.memory is None or task.memory not in addresses:
        name = None if task.memory is None else task.memory.name
        known = ", ".join(sorted(buffer.name for buffer in addresses)) or "none"
        text = f"layer {task.layer!r}: {task.instruction.opcode.name.lower()} must name a global buffer"
        raise ProgramError(f"{text} with an address ({known}), not {name}")
    return addresses[task.memory]


def _layers(tasks: Sequence[Task]) -> list[LayerSpan]:
    spans, first = [], 0
    for name, group in groupby(tasks, key=lambda task: task.layer):
        count = len(list(group))
        spans.append(LayerSpan(name, first, count))
        first += count
    return spans
