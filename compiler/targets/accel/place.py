"""Places: the first vector on the chip of every instance that tasks name.

Each buffer has a slot for each of its versions, which its instances use in turns; a slot lies in one bank.
Buffers that live one after the other share memory. Each group of buffers that live at the same time begins
where the group before ended, so that its first loads find what has been free for longest.

What depends on a list of tasks alone, its *allocation*, is found once: the banks that buffers share, and the
slot of each instance. Which banks these are, and where the slots begin, depends on what lay there before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tilewright.compiler.targets.accel.bank import Demand, friction, share
from tilewright.compiler.targets.accel.life import Use, groups, uses
from tilewright.compiler.targets.accel.task import Instance, Task
from tilewright.compiler.targets.accel.task_table import TaskTable
from tilewright.isa.config import Config
from tilewright.isa.encoding import IntArray
from tilewright.isa.memory import Memory
from tilewright.numerics.error import TilewrightError


class PlaceError(TilewrightError):
    """Buffers that do not fit the memories on the chip."""


def place(tasks: Sequence[Task], config: Config) -> dict[Instance, int]:
    """The first vector of each instance, in the memory of its scope.

    An instance lives from the first to the last task that names it; those that live at the same time have no
    vector in common.

    Raises:
        PlaceError: naming the buffers that want more than there is, and how much.
    """
    table = TaskTable.of(tasks)
    places = Chip(config).place(Allocation(table, config)).tolist()
    return dict(zip(table.instances, places, strict=True))


# --- what depends on the tasks alone -----------------------------------------------------------------------


@dataclass(frozen=True)
class _Slot:
    """Room for one instance at a time.

    Members:
        demand: what it is for.
        bank: which of those that its group shares.
        last: the last task that uses what lies in it.
    """

    demand: Demand
    bank: int
    last: int


@dataclass(frozen=True)
class _Shared:
    """Buffers of one memory that live at the same time.

    Members:
        slots: of all buffers, one after the other.
        instances: their numbers.
        taken: the slot of each.
    """

    slots: tuple[_Slot, ...]
    instances: IntArray
    taken: IntArray


class Allocation:
    """The slots of a list of tasks.

    Members:
        groups: in their order, by memory.
        instances: how many there are.

    Raises:
        PlaceError: naming the buffers that want more than there is, and how much.
    """

    def __init__(self, table: TaskTable, config: Config) -> None:
        self._config = config
        self.instances = len(table.instances)
        self.groups: list[Mapping[Memory, _Shared]] = []
        for group in groups(uses(table)):
            chosen = {memory: [use for use in group if use.memory == memory] for memory in Memory}
            self.groups.append(
                {memory: self._shared(memory, found) for memory, found in chosen.items() if found}
            )

    def _shared(self, memory: Memory, found: Sequence[Use]) -> _Shared:
        """Banks that the buffers share, and the slot of each instance."""
        demands = [use.demand() for use in found]
        at = {use.buffer: number for number, use in enumerate(found)}
        apart = {(at[use.buffer], at[other]) for use in found for other in use.apart}
        banks, depth = self._config.banks(memory), self._config.depth(memory)
        chosen = share(demands, apart, banks, depth)
        if chosen is None:
            raise PlaceError(self._refusal(memory, found, demands))
        slots: list[_Slot] = []
        instances: list[int] = []
        taken: list[int] = []
        for use, demand, own_banks in zip(found, demands, chosen, strict=True):
            turns, lasts = _take_turns(use, len(own_banks))
            instances += use.lives
            taken += [len(slots) + slot for slot in turns]
            slots += [_Slot(demand, bank, last) for bank, last in zip(own_banks, lasts, strict=True)]
        return _Shared(tuple(slots), np.array(instances, np.int64), np.array(taken, np.int64))

    def _refusal(self, memory: Memory, found: Sequence[Use], demands: Sequence[Demand]) -> str:
        layers = ", ".join(repr(layer) for layer in dict.fromkeys(use.layer for use in found))
        wants = ", ".join(f"{demand.name} {demand.slots} x {demand.vectors}" for demand in demands)
        return (
            f"layer {layers}: buffers in {memory.label} memory must fit {self._config.banks(memory)} banks of"
            f" {self._config.depth(memory)} vectors, each version in one bank and operands of one vector"
            f" instruction in different ones, not {wants}: use smaller tiles or fewer versions"
        )


def _take_turns(use: Use, count: int) -> tuple[list[int], list[int]]:
    """Of each instance, in time, the slot that has been free for longest; of each slot its last task."""
    lasts, taken = [-1] * count, []
    for life in use.lives.values():
        last = min(lasts)
        if last >= life.first:
            text = f"layer {use.layer!r}: more than {count} instances of buffer {use.buffer.name!r}"
            raise PlaceError(f"{text} live at the same time: give it more versions")
        slot = lasts.index(last)
        lasts[slot] = life.last
        taken.append(slot)
    return taken, lasts


# --- what depends on what was there before -----------------------------------------------------------------


class Chip:
    """The memories on the chip, and what the last tasks left of them."""

    def __init__(self, config: Config) -> None:
        self._memories = {memory: _Memory(memory, config) for memory in Memory}

    def place(self, allocation: Allocation) -> IntArray:
        """The first vector of each instance of a list of tasks that follows all that were placed so far."""
        places = np.zeros(allocation.instances, np.int64)
        for group in allocation.groups:
            for memory, shared in group.items():
                places[shared.instances] = self._memories[memory].place(shared.slots)[shared.taken]
        return places


class _Memory:
    """A memory on the chip, and what the last group left of it."""

    def __init__(self, memory: Memory, config: Config) -> None:
        self._banks, self._depth = config.banks(memory), config.depth(memory)
        # By bank: what lay there last, and where that has been free for longest.
        self._before: list[list[Demand]] = [[] for _ in range(self._banks)]
        self._starts = [0] * self._banks

    def place(self, slots: Sequence[_Slot]) -> IntArray:
        """The first vector of each slot of buffers that live at the same time."""
        names, places = self._names(slots), np.zeros(len(slots), np.int64)
        for bank, name in names.items():
            inside = [number for number, slot in enumerate(slots) if slot.bank == bank]
            sizes = [slots[number].demand.vectors for number in inside]
            addresses = _laid_out(sizes, self._starts[name], self._depth)
            places[inside] = np.array(addresses) + name * self._depth
            # The first of those that are used last.
            longest = max(range(len(inside)), key=lambda place: slots[inside[place]].last)
            self._before[name] = [slots[number].demand for number in inside]
            self._starts[name] = (addresses[longest] + sizes[longest]) % self._depth
        return places

    def _names(self, slots: Sequence[_Slot]) -> dict[int, int]:
        """Which bank each chosen one is: that whose last contents are least in the way of what comes."""
        free, names = list(range(self._banks)), dict[int, int]()
        for bank in sorted({slot.bank for slot in slots}):
            comes = dict.fromkeys(slot.demand for slot in slots if slot.bank == bank)

            def conflict(name: int, comes: Mapping[Demand, None] = comes) -> int:
                return sum(friction(old, new) for old in self._before[name] for new in comes)

            names[bank] = min(free, key=conflict)
            free.remove(names[bank])
        return names


def _laid_out(sizes: Sequence[int], start: int, depth: int) -> list[int]:
    """Addresses of slots in a bank, one after the other, round the end from `start` if that suffices."""
    return _from(sizes, start, depth) or _from(sizes, 0, depth) or []


def _from(sizes: Sequence[int], start: int, depth: int) -> list[int] | None:
    """The addresses; None if the last ones meet the first."""
    at, end, addresses = start, depth, []
    for size in sizes:
        if at + size > end and end == depth:
            at, end = 0, start
        addresses.append(at)
        at += size
    return addresses if at <= end else None
