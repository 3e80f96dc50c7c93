"""Banks: which of them the buffers of one memory share, so that engines do not wait for each other's ports.

A bank has one read and one write port, and an instruction claims those that it uses from its start to its
finish. So buffers that different engines read, or write, should not share a bank; operands of one vector
instruction must not, unless it works in place.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, islice

from tilewright.isa.config import Config
from tilewright.isa.memory import PORTS, Engine, Memory, Port

_OPTIONS = 256
"""Sets of banks that are considered for one buffer; of up to 8 banks these are all."""
_VISITS = 1000
"""Steps after which the best that was found so far is good enough."""
_REMEMBERED = 1 << 16
"""Questions for room whose answers are kept."""


@dataclass(frozen=True)
class Demand:
    """The demand of a buffer on a memory.

    Members:
        name: of the buffer.
        memory: where its instances lie.
        vectors: size of a slot; each slot holds one instance at a time.
        slots: number of slots; each lies in one bank.
        writers, readers: the engines that use it.
        traffic: vectors of all its instances: the more, the more often others wait for its ports.
    """

    name: str
    memory: Memory
    vectors: int
    slots: int
    writers: frozenset[Engine]
    readers: frozenset[Engine]
    traffic: int = 1

    def users(self, port: Port) -> frozenset[Engine]:
        """The engines that claim this port of its banks."""
        # The matrix engine reads the accumulators' bank too: it adds to it from the second tile on.
        both = self.writers & {Engine.MATRIX}
        return self.writers if port == Port.WRITE else self.readers | both


def fits(
    demands: Sequence[Demand], config: Config, interfering: Collection[tuple[int, int]] | None = None
) -> bool:
    """Whether buffers that live at the same time can be allocated.

    Args:
        demands: the buffers, of any memories.
        config: the machine.
        interfering: pairs of indices into `demands` that must not share a bank; None: every pair that
            vector instructions could use together, by `interference_by_engine`.
    """
    pairs = interference_by_engine(demands) if interfering is None else interfering
    for memory in Memory:
        chosen = [index for index, demand in enumerate(demands) if demand.memory == memory]
        inner = frozenset((chosen.index(a), chosen.index(b)) for a, b in pairs if a in chosen and b in chosen)
        own = tuple(demands[index] for index in chosen)
        if not has_room(own, inner, config.banks(memory), config.depth(memory)):
            return False
    return True


def interference_by_engine(demands: Sequence[Demand]) -> set[tuple[int, int]]:
    """The pairs of indices of buffers in one memory that a vector instruction may read, or read and write."""
    pairs = combinations(range(len(demands)), 2)
    return {(a, b) for a, b in pairs if _may_meet(demands[a], demands[b])}


def _may_meet(a: Demand, b: Demand) -> bool:
    reads = [Engine.VECTOR in demand.readers for demand in (a, b)]
    writes = [Engine.VECTOR in demand.writers for demand in (a, b)]
    both = all(reads) or (reads[0] and writes[1]) or (reads[1] and writes[0])
    return both and a.memory == b.memory != Memory.PARAMETER


def conflict_cost(a: Demand, b: Demand) -> int:
    """The conflict cost of two buffers, or of two instances of one, in one bank; 0: none."""
    meetings = [{first, second} for port in PORTS for first in a.users(port) for second in b.users(port)]
    # Matrix instructions are the longest, and the array is what must not wait.
    cost = sum(1 + (Engine.MATRIX in meeting) for meeting in meetings if len(meeting) == 2)
    # A vector instruction does not start while one before it writes a bank that it reads.
    return cost + any(
        Engine.VECTOR in one.readers and Engine.VECTOR in other.writers for one, other in ((a, b), (b, a))
    )


def share(
    demands: Sequence[Demand], interfering: Collection[tuple[int, int]], banks: int, depth: int
) -> list[list[int]] | None:
    """A bank for each slot of each buffer of one memory, at a low conflict cost; None if none is found.

    Successive slots of a buffer lie in different banks where it has several.

    Args:
        demands: the buffers.
        interfering: pairs of their indices that must not share a bank; an index with itself: its slots must
            not.
        banks, depth: how many banks, and vectors in each.
    """
    if _vectors(demands) > banks * depth:
        return None
    return _Search(demands, interfering, banks, depth).run()


@lru_cache(maxsize=_REMEMBERED)
def has_room(
    demands: tuple[Demand, ...], interfering: frozenset[tuple[int, int]], banks: int, depth: int
) -> bool:
    """Whether `share` finds banks: it ends with the first ones that it finds, be there better ones."""
    if _vectors(demands) > banks * depth:
        return False
    return _Search(demands, interfering, banks, depth, is_any_enough=True).run() is not None


def _vectors(demands: Iterable[Demand]) -> int:
    return sum(demand.vectors * demand.slots for demand in demands)


class _Search:
    """Chooses a set of banks for one buffer after the other, those that need most first; best first."""

    def __init__(
        self,
        demands: Sequence[Demand],
        interfering: Collection[tuple[int, int]],
        banks: int,
        depth: int,
        is_any_enough: bool = False,
    ) -> None:
        self._banks, self._depth, self._is_any_enough = banks, depth, is_any_enough
        self._alone = {a for a, b in interfering if a == b}
        self._needs = [self._need(index, demand) for index, demand in enumerate(demands)]
        self._order = sorted(
            range(len(demands)), key=lambda index: (-self._needs[index], -demands[index].traffic)
        )
        self._demands = demands
        self._interfering = {pair for a, b in interfering for pair in ((a, b), (b, a))}
        self._conflict_costs = [
            [conflict_cost(a, b) * min(a.traffic, b.traffic) for b in demands] for a in demands
        ]
        self._sets: dict[int, int] = {}
        self._best: list[list[int]] | None = None
        self._cost = float("inf")
        self._visits = 0

    def run(self) -> list[list[int]] | None:
        if max(self._needs, default=0) <= self._banks:
            self._visit(0, 0, 0.0)
        return self._best

    def _need(self, index: int, demand: Demand) -> int:
        """Banks that a buffer needs at least."""
        room = min(self._depth // demand.vectors, 1 if index in self._alone else demand.slots)
        return -(-demand.slots // room) if room else self._banks + 1

    def _visit(self, step: int, opened: int, cost: float) -> None:
        """Choose for the buffers from `step` on; the banks from `opened` on are empty, one like the other."""
        self._visits += 1
        spread = self._spread()
        if spread is None or cost >= self._cost or self._visits > _VISITS:
            return
        if step == len(self._order):
            # No cost is less than none: what follows is left out.
            self._best, self._cost = spread, -1.0 if self._is_any_enough else cost
            return
        index = self._order[step]
        options = list(islice(self._options(index, opened), _OPTIONS))
        for more, _, banks in sorted(
            (self._cost_of(index, mask), mask.bit_count(), mask) for mask in options
        ):
            if cost + more >= self._cost:
                break
            self._sets[index] = banks
            self._visit(step + 1, max(opened, banks.bit_length()), cost + more)
            del self._sets[index]

    def _options(self, index: int, opened: int) -> Iterator[int]:
        """Sets of banks, as masks: of the empty ones always the first."""
        taken = [mask for other, mask in self._sets.items() if (index, other) in self._interfering]
        free = [bank for bank in range(opened) if not any(mask >> bank & 1 for mask in taken)]
        for olds in range(len(free) + 1):
            for news in range(max(0, self._needs[index] - olds), self._banks - opened + 1):
                if olds + news:
                    for chosen in combinations(free, olds):
                        yield sum(1 << bank for bank in chosen) | ((1 << news) - 1) << opened

    def _cost_of(self, index: int, banks: int) -> float:
        """Conflict cost of a buffer with those before and with itself, by how often both are in one bank."""
        size = banks.bit_count()
        price = float(self._conflict_costs[index][index] if size == 1 < self._demands[index].slots else 0)
        for other, mask in self._sets.items():
            shared = (mask & banks).bit_count() / (size * mask.bit_count())
            price += shared * self._conflict_costs[index][other]
        return price

    def _spread(self) -> list[list[int]] | None:
        """The bank of each slot of the buffers that have banks; None if these are too small."""
        room = [self._depth] * self._banks
        result: list[list[int]] = [[] for _ in self._demands]
        for index in sorted(self._sets, key=self._tightness):
            banks = [bank for bank in range(self._banks) if self._sets[index] >> bank & 1]
            slots = self._fill(index, banks, room)
            if slots is None:
                return None
            result[index] = _round_robin(slots)
        return result

    def _tightness(self, index: int) -> tuple[int, int]:
        """Sort key: buffers with the fewest banks come first, of these the largest."""
        return self._sets[index].bit_count(), -self._demands[index].vectors

    def _fill(self, index: int, banks: list[int], room: list[int]) -> list[int] | None:
        """A bank for each slot of a buffer, always the emptiest; takes the space from `room`."""
        vectors, chosen = self._demands[index].vectors, list[int]()
        for _ in range(self._demands[index].slots):
            bank = max(banks, key=lambda bank: room[bank], default=None)
            if bank is None or room[bank] < vectors:
                return None
            room[bank] -= vectors
            chosen.append(bank)
            if index in self._alone:
                banks = [other for other in banks if other != bank]
        return chosen


def _round_robin(banks: list[int]) -> list[int]:
    """The same banks in round-robin order."""
    seen: dict[int, int] = {}
    ranked = []
    for bank in banks:
        seen[bank] = seen.get(bank, 0) + 1
        ranked.append((seen[bank], bank))
    return [bank for _, bank in sorted(ranked)]
