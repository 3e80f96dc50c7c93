"""Places: the first vector on the chip of every instance that tasks name.

Each buffer has a slot for each of its versions, which its instances use in turns; a slot lies in one bank.
Buffers that live one after the other share memory. Each group of buffers that live at the same time begins
where the group before ended, so that its first loads find what has been free for longest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tilewright.compiler.targets.accel.bank import Demand, friction, share
from tilewright.compiler.targets.accel.life import Use, groups, uses
from tilewright.compiler.targets.accel.task import Instance, Task
from tilewright.isa.config import Config
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
    places: dict[Instance, int] = {}
    memories = {memory: _Memory(memory, config) for memory in Memory}
    for group in groups(uses(tasks)):
        for memory, chip in memories.items():
            chosen = [use for use in group if use.memory == memory]
            if chosen:
                places |= chip.place(chosen)
    return places


@dataclass
class _Slot:
    """Room for one instance at a time.

    Members:
        bank: which one.
        demand: what it is for.
        address: its first vector in the bank.
        last: the last task that uses what lies in it so far; negative: none.
    """

    bank: int
    demand: Demand
    address: int = 0
    last: int = -1

    @property
    def end(self) -> int:
        return self.address + self.demand.vectors


class _Memory:
    """A memory on the chip, and what the last group left of it."""

    def __init__(self, memory: Memory, config: Config) -> None:
        self._memory = memory
        self._banks, self._depth = config.banks(memory), config.depth(memory)
        # By bank: what lay there last, and where that has been free for longest.
        self._before: list[list[Demand]] = [[] for _ in range(self._banks)]
        self._starts = [0] * self._banks

    def place(self, found: Sequence[Use]) -> dict[Instance, int]:
        """Place buffers that live at the same time, after all that were placed so far."""
        slots = self._slots(found)
        members = [
            [slot for buffer in slots for slot in buffer if slot.bank == bank] for bank in range(self._banks)
        ]
        for bank, inside in enumerate(members):
            _lay_out(inside, self._starts[bank], self._depth)
        places: dict[Instance, int] = {}
        for use, buffer in zip(found, slots, strict=True):
            places |= self._take_turns(use, buffer)
        for bank, inside in enumerate(members):
            if inside:
                self._before[bank] = [slot.demand for slot in inside]
                self._starts[bank] = max(inside, key=lambda slot: slot.last).end % self._depth
        return places

    def _slots(self, found: Sequence[Use]) -> list[list[_Slot]]:
        """The slots of each buffer, with their banks."""
        demands = [use.demand() for use in found]
        at = {use.buffer: number for number, use in enumerate(found)}
        apart = {(at[use.buffer], at[other]) for use in found for other in use.apart}
        banks = share(demands, apart, self._banks, self._depth)
        if banks is None:
            raise PlaceError(self._refusal(found, demands))
        names = self._names(demands, banks)
        return [
            [_Slot(names[bank], demand) for bank in chosen]
            for demand, chosen in zip(demands, banks, strict=True)
        ]

    def _names(self, demands: Sequence[Demand], banks: Sequence[Sequence[int]]) -> dict[int, int]:
        """Which bank each chosen one is: that whose last contents are least in the way of what comes."""
        free, names = list(range(self._banks)), dict[int, int]()
        for bank in sorted({bank for chosen in banks for bank in chosen}):
            comes = [demand for demand, chosen in zip(demands, banks, strict=True) if bank in chosen]

            def trouble(name: int, comes: Sequence[Demand] = comes) -> int:
                return sum(friction(old, new) for old in self._before[name] for new in comes)

            names[bank] = min(free, key=trouble)
            free.remove(names[bank])
        return names

    def _take_turns(self, use: Use, slots: Sequence[_Slot]) -> dict[Instance, int]:
        """Give each instance, in time, the slot that has been free for longest."""
        places = {}
        for life in use.lives.values():
            slot = min(slots, key=lambda slot: slot.last)
            if slot.last >= life.first:
                text = f"layer {use.layer!r}: more than {len(slots)} instances of buffer {use.buffer.name!r}"
                raise PlaceError(f"{text} live at the same time: give it more versions")
            slot.last = life.last
            places[life.instance] = slot.bank * self._depth + slot.address
        return places

    def _refusal(self, found: Sequence[Use], demands: Sequence[Demand]) -> str:
        layers = ", ".join(repr(layer) for layer in dict.fromkeys(use.layer for use in found))
        wants = ", ".join(f"{demand.name} {demand.slots} x {demand.vectors}" for demand in demands)
        return (
            f"layer {layers}: buffers in {self._memory.label} memory must fit {self._banks} banks of"
            f" {self._depth} vectors, each version in one bank and operands of one vector instruction in"
            f" different ones, not {wants}: use smaller tiles or fewer versions"
        )


def _lay_out(slots: Sequence[_Slot], start: int, depth: int) -> None:
    """Give the slots of a bank addresses one after the other, round the end from `start` if that suffices."""
    if not _from(slots, start, depth):
        _from(slots, 0, depth)


def _from(slots: Sequence[_Slot], start: int, depth: int) -> bool:
    """Give them addresses; False if the last ones meet the first."""
    at, end = start, depth
    for slot in slots:
        if at + slot.demand.vectors > end and end == depth:
            at, end = 0, start
        slot.address = at
        at = slot.end
    return at <= end
