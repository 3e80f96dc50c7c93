"""Allocation: the address on the chip, a vector, of every instance that tasks name.

Each buffer has as many slots as its depth, which its instances use round-robin; a slot lies in one bank.
Buffers that live one after the other share memory. Each group of buffers that live at the same time begins
where the group before ended, so that its first loads find what has been free for longest.

What depends on a list of tasks alone, its *allocation*, is found once: the banks that buffers share, and the
slot of each instance. Which banks these are, and where the slots begin, depends on what lay there before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tilewright.compiler.targets.accel.bank import Demand, conflict_cost, share
from tilewright.compiler.targets.accel.live_range import Use, groups, uses
from tilewright.compiler.targets.accel.task_table import TaskTable
from tilewright.isa.config import Config
from tilewright.isa.encoding import IntArray
from tilewright.isa.memory import Memory
from tilewright.numerics.error import TilewrightError


class AllocationError(TilewrightError):
    """Buffers that do not fit the memories on the chip."""


# --- what depends on the tasks alone -----------------------------------------------------------------------


@dataclass(frozen=True)
class _Slot:
    """Room for one instance at a time.

    Members:
        demand: of the buffer that it is for.
        bank: which of the banks that its group shares.
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
        groups: buffers that live at the same time, by memory, in the order of their first tasks.
        instances: how many instances there are.

    Raises:
        AllocationError: naming the buffers that want more than there is, and how much.
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
        interfering = {(at[use.buffer], at[other]) for use in found for other in use.interferes}
        banks, depth = self._config.banks(memory), self._config.depth(memory)
        chosen = share(demands, interfering, banks, depth)
        if chosen is None:
            raise AllocationError(self._refusal(memory, found, demands))
        slots: list[_Slot] = []
        instances: list[int] = []
        taken: list[int] = []
        for use, demand, own_banks in zip(found, demands, chosen, strict=True):
            assigned, lasts = _assign_slots(use, len(own_banks))
            instances += use.live_ranges
            taken += [len(slots) + slot for slot in assigned]
            slots += [_Slot(demand, bank, last) for bank, last in zip(own_banks, lasts, strict=True)]
        return _Shared(tuple(slots), np.array(instances, np.int64), np.array(taken, np.int64))

    def _refusal(self, memory: Memory, found: Sequence[Use], demands: Sequence[Demand]) -> str:
        layers = ", ".join(repr(layer) for layer in dict.fromkeys(use.layer for use in found))
        wants = ", ".join(f"{demand.name} {demand.slots} x {demand.vectors}" for demand in demands)
        return (
            f"layer {layers}: buffers in {memory.label} memory must fit {self._config.banks(memory)} banks of"
            f" {self._config.depth(memory)} vectors, each instance in one bank and operands of one vector"
            f" instruction in different ones, not {wants}: use smaller tiles or smaller depths"
        )


def _assign_slots(use: Use, count: int) -> tuple[list[int], list[int]]:
    """For each instance, in time, the slot that has been free for longest; for each slot its last task."""
    lasts, taken = [-1] * count, []
    for live_range in use.live_ranges.values():
        last = min(lasts)
        if last >= live_range.first:
            text = f"layer {use.layer!r}: more than {count} instances of buffer {use.buffer.name!r}"
            raise AllocationError(f"{text} live at the same time: give it a larger depth")
        slot = lasts.index(last)
        lasts[slot] = live_range.last
        taken.append(slot)
    return taken, lasts


# --- what depends on what was there before -----------------------------------------------------------------


class Chip:
    """The memories on the chip, and what the last tasks left of them."""

    def __init__(self, config: Config) -> None:
        self._memories = {memory: _Memory(memory, config) for memory in Memory}

    def assign(self, allocation: Allocation) -> IntArray:
        """Addresses of the instances of a list of tasks that follows all that were allocated so far."""
        addresses = np.zeros(allocation.instances, np.int64)
        for group in allocation.groups:
            for memory, shared in group.items():
                addresses[shared.instances] = self._memories[memory].assign(shared.slots)[shared.taken]
        return addresses


class _Memory:
    """A memory on the chip, and what the last group left of it."""

    def __init__(self, memory: Memory, config: Config) -> None:
        self._banks, self._depth = config.banks(memory), config.depth(memory)
        # By bank: what lay there last, and where that has been free for longest.
        self._before: list[list[Demand]] = [[] for _ in range(self._banks)]
        self._starts = [0] * self._banks

    def assign(self, slots: Sequence[_Slot]) -> IntArray:
        """The address of each slot of buffers that live at the same time."""
        names, addresses = self._names(slots), np.zeros(len(slots), np.int64)
        for bank, name in names.items():
            inside = [number for number, slot in enumerate(slots) if slot.bank == bank]
            sizes = [slots[number].demand.vectors for number in inside]
            offsets = _laid_out(sizes, self._starts[name], self._depth)
            addresses[inside] = np.array(offsets) + name * self._depth
            # The first of those that are used last.
            longest = max(range(len(inside)), key=lambda index: slots[inside[index]].last)
            self._before[name] = [slots[number].demand for number in inside]
            self._starts[name] = (offsets[longest] + sizes[longest]) % self._depth
        return addresses

    def _names(self, slots: Sequence[_Slot]) -> dict[int, int]:
        """The physical bank of each chosen one: where the conflict cost with its last contents is least."""
        free, names = list(range(self._banks)), dict[int, int]()
        for bank in sorted({slot.bank for slot in slots}):
            comes = dict.fromkeys(slot.demand for slot in slots if slot.bank == bank)

            def cost(name: int, comes: Mapping[Demand, None] = comes) -> int:
                return sum(conflict_cost(old, new) for old in self._before[name] for new in comes)

            names[bank] = min(free, key=cost)
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
