"""Values of random instructions: counts, strides and addresses that stay inside an operand.

Every field starts from the table with any value at all, interesting ones first; what an instruction's meaning
restricts is then drawn anew. So fields that do not matter (strides of single steps, addresses of unused
operands) hold rubbish, as a machine must bear.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from tilewright.isa.address import AddressLoops
from tilewright.isa.config import Config
from tilewright.isa.instruction import Instruction, Spec, specs
from tilewright.isa.memory import Memory

Values = dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Taste:
    """What the instructions of one program have in common, so that programs differ from each other.

    Members:
        config: the machine.
        memory_bytes: bytes behind each base register.
        budget: cycles that most instructions stay below, roughly.
        hot: probability of an operand near the start of its bank or region, where conflicts are.
        bases: base registers in use.
        weights: how often each class is drawn.
    """

    config: Config
    memory_bytes: int
    budget: int
    hot: float
    bases: tuple[int, ...]
    weights: Mapping[type[Instruction], float]


def anything(r: random.Random, spec: Spec) -> int:
    """Any value that a field can hold, its ends and zero more often."""
    if spec.values is not None:
        return r.choice([item.value for item in spec.values])
    ends = (0, 1, spec.minimum, spec.maximum)
    return r.choice(ends) if r.random() < 0.5 else r.randint(spec.minimum, spec.maximum)


def draw_fields(r: random.Random, kind: type[Instruction]) -> Values:
    """Rubbish in every field of an instruction."""
    return {name: anything(r, spec) for name, spec in specs(kind).items()}


def draw_counts(r: random.Random, budget: int, limits: Sequence[int]) -> list[int]:
    """Counts of a loop nest with at most `budget` steps; count k is at most limits[k]."""
    counts = [1] * len(limits)
    left = max(1, budget)
    for place in r.sample(range(len(limits)), len(limits)):
        most = min(left, limits[place])
        if r.random() < 0.7:
            counts[place] = most if r.random() < 0.2 else r.randint(1, most)
        left //= counts[place]
    return counts


def draw_budget(r: random.Random, taste: Taste) -> int:
    """Steps of one instruction: mostly few, now and then more than the program's taste."""
    if r.random() < 0.04:
        return 3 * taste.budget
    return r.choice((1, 2, r.randint(1, 8), r.randint(1, taste.budget), taste.budget))


def draw_strides(r: random.Random, counts: Sequence[int], span: int, specs: Sequence[Spec]) -> list[int]:
    """Strides for a nest of loops that reaches over at most `span` addresses; any for a single step."""
    result = [anything(r, spec) for spec in specs]
    left = span - 1
    for place in r.sample(range(len(counts)), len(counts)):
        steps = counts[place] - 1
        if steps > 0:
            most = min(left // steps, specs[place].maximum)
            dense = prod(counts[place + 1 :])
            stride = min(most, r.choice((0, 1, 1, dense, dense, dense + 1, most, r.randint(0, most))))
            result[place] = stride if r.random() < 0.8 else -stride
            left -= stride * steps
    return result


def draw_first(r: random.Random, counts: Sequence[int], strides: Sequence[int], span: int, hot: float) -> int:
    """The first address of a nest that lies in 0 … span - 1, which is near 0 with probability `hot`."""
    low, high = AddressLoops(0, tuple(counts), tuple(strides)).bounds()
    room = span - 1 - (high - low)
    if r.random() < hot:
        return min(room, r.choice((0, 0, 1, 2, 3, r.randint(0, 15)))) - low
    return r.choice((0, room, r.randint(0, room), r.randint(0, room))) - low


def draw_bank(r: random.Random, taste: Taste, memory: Memory) -> int:
    """A bank of a memory; the first one more often."""
    banks = taste.config.banks(memory)
    return 0 if r.random() < taste.hot / 2 else r.randrange(banks)


def draw_address(
    r: random.Random, taste: Taste, memory: Memory, nest: tuple[Sequence[int], Sequence[int]]
) -> int:
    """The first vector of a nest (counts, strides) that fits into one bank of a memory."""
    depth = taste.config.depth(memory)
    return draw_bank(r, taste, memory) * depth + draw_first(r, *nest, depth, taste.hot)
