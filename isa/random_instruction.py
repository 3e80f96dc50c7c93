"""Random instructions that are legal and stay inside their operands, for tests of every device.

Every field starts from the table with any value at all, interesting ones first; what an instruction's meaning
restricts is then drawn anew. So fields that do not matter (strides of single steps, addresses of unused
operands) hold rubbish, as a machine must bear.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from tilewright.isa.address import AddressLoops
from tilewright.isa.config import Config
from tilewright.isa.instruction import (
    Destination,
    Instruction,
    Load,
    Matrix,
    Nop,
    ReduceMode,
    SourceB,
    Spec,
    Store,
    Vector,
    VectorOp,
    specs,
)
from tilewright.isa.memory import Memory
from tilewright.isa.operand import DESTINATION, OPERANDS, SOURCES, OperandField, in_place, parameters_used

_Values = dict[str, int]


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


def random_instructions(r: random.Random, taste: Taste) -> list[Instruction]:
    """One instruction, or several that belong together, without tokens."""
    kinds = list(taste.weights)
    kind = r.choices(kinds, [taste.weights[each] for each in kinds])[0]
    return _DRAWS[kind](r, taste)


# --- values ------------------------------------------------------------------------------------------------


def anything(r: random.Random, spec: Spec) -> int:
    """Any value that a field can hold, its ends and zero more often."""
    if spec.values is not None:
        return r.choice([item.value for item in spec.values])
    ends = (0, 1, spec.minimum, spec.maximum)
    return r.choice(ends) if r.random() < 0.5 else r.randint(spec.minimum, spec.maximum)


def _rubbish(r: random.Random, kind: type[Instruction]) -> _Values:
    return {name: anything(r, spec) for name, spec in specs(kind).items()}


def _split(r: random.Random, budget: int, limits: Sequence[int]) -> list[int]:
    """Counts of a loop nest with at most `budget` steps; count k is at most limits[k]."""
    counts = [1] * len(limits)
    left = max(1, budget)
    for place in r.sample(range(len(limits)), len(limits)):
        most = min(left, limits[place])
        if r.random() < 0.7:
            counts[place] = most if r.random() < 0.2 else r.randint(1, most)
        left //= counts[place]
    return counts


def _budget(r: random.Random, taste: Taste) -> int:
    """Steps of one instruction: mostly few, now and then more than the program's taste."""
    if r.random() < 0.04:
        return 3 * taste.budget
    return r.choice((1, 2, r.randint(1, 8), r.randint(1, taste.budget), taste.budget))


def _strides(r: random.Random, counts: Sequence[int], span: int, specs: Sequence[Spec]) -> list[int]:
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


def _first(r: random.Random, counts: Sequence[int], strides: Sequence[int], span: int, hot: float) -> int:
    """The first address of a nest that lies in 0 … span - 1, which is near 0 with probability `hot`."""
    low, high = AddressLoops(0, tuple(counts), tuple(strides)).bounds()
    room = span - 1 - (high - low)
    if r.random() < hot:
        return min(room, r.choice((0, 0, 1, 2, 3, r.randint(0, 15)))) - low
    return r.choice((0, room, r.randint(0, room), r.randint(0, room))) - low


def _bank(r: random.Random, taste: Taste, memory: Memory) -> int:
    banks = taste.config.banks(memory)
    return 0 if r.random() < taste.hot / 2 else r.randrange(banks)


def _chip(r: random.Random, taste: Taste, memory: Memory, nest: tuple[Sequence[int], Sequence[int]]) -> int:
    """The first vector of a nest (counts, strides) that fits into one bank of a memory."""
    depth = taste.config.depth(memory)
    return _bank(r, taste, memory) * depth + _first(r, *nest, depth, taste.hot)


# --- load and store ----------------------------------------------------------------------------------------

_AXES = ("z", "y", "x")
_OUTSIDE_STRIDES = tuple(f"stride_{axis}" for axis in _AXES)
_BLOCK_COUNTS = tuple(f"n_{axis}" for axis in _AXES)


def _chip_strides(kind: type[Instruction]) -> list[str]:
    """Those of the loops of a block, as far as an instruction has them; the others are 1."""
    return [name for axis in _AXES if (name := f"chip_stride_{axis}") in specs(kind)]


def _load(r: random.Random, taste: Taste) -> list[Instruction]:
    values = _rubbish(r, Load)
    config, memory = taste.config, Memory(values["memory"])
    beats = config.vector_bytes(memory) // config.transfer_bytes(memory)
    depth = config.depth(memory)
    counts = _split(r, _budget(r, taste) // beats, (5, min(depth, 255), min(depth, 255)))
    if r.random() < 0.3:
        counts = [counts[0], *(max(count, r.randint(2, 5)) for count in counts[1:])]
    values["n_z"] = counts[0]
    values |= _padded(r, counts[1], ("pad_top", "n_y", "pad_bottom"))
    values |= _padded(r, counts[2], ("pad_left", "n_x", "pad_right"))
    names = _chip_strides(Load)
    strides = _strides(r, counts[:2], depth - (counts[2] - 1), [specs(Load)[name] for name in names])
    values |= zip(names, strides, strict=True)
    values["address"] = _chip(r, taste, memory, (counts, (*strides, 1)))
    return [Load(**values | _outside(r, taste, Load, values))]


def _padded(r: random.Random, total: int, names: tuple[str, str, str]) -> _Values:
    """Split a side of a block into padding, data and padding; seldom all is padding."""
    least = 0 if r.random() < 0.04 else 1
    if r.random() < 0.4:
        return dict(zip(names, (0, total, 0), strict=True))
    before = r.randint(0, min(total - least, 3))
    after = total - before if least == 0 else r.randint(0, min(total - before - least, 3))
    return dict(zip(names, (before, total - before - after, after), strict=True))


def _store(r: random.Random, taste: Taste) -> list[Instruction]:
    values = _rubbish(r, Store)
    config, memory = taste.config, Memory(values["memory"])
    vector_bytes, depth = config.vector_bytes(memory), config.depth(memory)
    counts = _split(r, _budget(r, taste) * config.transfer_bytes(memory) // vector_bytes, (5, 255, 255))
    names = _chip_strides(Store)
    strides = _strides(r, counts, depth, [specs(Store)[name] for name in names])
    values |= zip(names, strides, strict=True)
    values |= zip(_BLOCK_COUNTS, counts, strict=True)
    values["address"] = _chip(r, taste, memory, (counts, strides))
    values["bytes"] = r.choice((vector_bytes, vector_bytes, 1, r.randint(1, vector_bytes)))
    return [Store(**values | _outside(r, taste, Store, values))]


def _outside(r: random.Random, taste: Taste, kind: type[Instruction], values: _Values) -> _Values:
    """Base, offset and memory strides, in multiples of a transfer; any offset if no data is moved."""
    memory = Memory(values["memory"])
    vector, unit = taste.config.vector_bytes(memory), taste.config.transfer_bytes(memory)
    table = specs(kind)
    counts = [values[name] for name in _BLOCK_COUNTS]
    rows = [_in_units(table[name], unit) for name in _OUTSIDE_STRIDES]
    if 0 in counts:
        strides, first = [anything(r, row) for row in rows], anything(r, _in_units(table["offset"], unit))
    else:
        span = (taste.memory_bytes - vector) // unit + 1
        strides = _strides(r, counts, span, rows)
        if counts[2] > 1 and r.random() < 0.6:
            strides = _with_dense_rows(r, counts, span, rows, vector // unit)
        first = _first(r, counts, strides, span, taste.hot)
    result = {name: stride * unit for name, stride in zip(_OUTSIDE_STRIDES, strides, strict=True)}
    return result | {"base": r.choice(taste.bases), "offset": first * unit}


def _in_units(spec: Spec, unit: int) -> Spec:
    """The field, counted in multiples of `unit`, a power of two."""
    return Spec(spec.bits - unit.bit_length() + 1, spec.signed, None, spec.text)


def _with_dense_rows(
    r: random.Random, counts: Sequence[int], span: int, rows: Sequence[Spec], dense: int
) -> list[int]:
    """Strides with one row after the other in one run, or any if a row is longer than the span."""
    reach = (counts[2] - 1) * dense
    if reach >= span:
        return _strides(r, counts, span, rows)
    return [*_strides(r, counts[:2], span - reach, rows[:2]), dense]


# --- matrix ------------------------------------------------------------------------------------------------

_SLICE_COUNTS, _SLICE_STRIDES = zip(*OPERANDS[Matrix][0].loops, strict=True)


def _matrix(r: random.Random, taste: Taste) -> list[Instruction]:
    first = _one_matrix(r, taste)
    chain = [first]
    while len(chain) < 4 and r.random() < 0.4:
        chain.append(_next_matrix(r, taste, first))
    return list(chain)


def _one_matrix(r: random.Random, taste: Taste) -> Matrix:
    config, table = taste.config, specs(Matrix)
    values = _rubbish(r, Matrix)
    budget = _budget(r, taste)
    results = [1, 1] if r.random() < 0.25 else _split(r, budget, (config.depth(Memory.ACCUMULATOR),) * 2)
    results[1] = min(results[1], config.depth(Memory.ACCUMULATOR) // results[0])
    period = max(prod(results), config.rows)
    most = config.depth(Memory.WEIGHT) // config.rows
    tiles = _split(r, min(most, max(1, 2 * budget // period)), (8, 8, 64))
    counts = [*results, *tiles]
    strides = _strides(
        r, counts, config.depth(Memory.ACTIVATION) * config.slices, [table[name] for name in _SLICE_STRIDES]
    )
    values |= zip((*_SLICE_COUNTS, *_SLICE_STRIDES), (*counts, *strides), strict=True)
    return Matrix(**values | _matrix_places(r, taste, counts, strides))


def _matrix_places(r: random.Random, taste: Taste, counts: Sequence[int], strides: Sequence[int]) -> _Values:
    config = taste.config
    slices = config.depth(Memory.ACTIVATION) * config.slices
    weights, results = prod(counts[2:]) * config.rows, prod(counts[:2])
    bank = _bank(r, taste, Memory.ACTIVATION)
    return {
        "activation": bank * slices + _first(r, counts, strides, slices, taste.hot),
        "weight": _chip(r, taste, Memory.WEIGHT, ((weights,), (1,))),
        "accumulator": _chip(r, taste, Memory.ACCUMULATOR, ((results,), (1,))),
    }


def _next_matrix(r: random.Random, taste: Taste, first: Matrix) -> Matrix:
    """The same product again, onto the same accumulators or others: what hazards are made of."""
    values = {name: getattr(first, name) for name in specs(Matrix)}
    values["accumulate"] = int(r.random() < 0.8)
    if r.random() < 0.4:
        results = first.n_y * first.n_x
        values["accumulator"] = _chip(r, taste, Memory.ACCUMULATOR, ((results,), (1,)))
    return Matrix(**values)


# --- vector ------------------------------------------------------------------------------------------------

_LOOPS = tuple(count for count, _ in SOURCES[0].loops)


def _vector(r: random.Random, taste: Taste) -> list[Instruction]:
    values = _rubbish(r, Vector)
    values["op"] = r.choice((*VectorOp, VectorOp.PASS))
    values["reduce"] = r.choice((ReduceMode.NONE, ReduceMode.NONE, ReduceMode.NONE, *ReduceMode))
    if values["op"] == VectorOp.PASS:
        values["b_from"] = SourceB.CONSTANT
    values["lookup"] = int(values["to"] != Destination.TABLE and r.random() < 0.15)
    if r.random() < 0.6:
        values |= {"lo": specs(Vector)["lo"].minimum, "hi": specs(Vector)["hi"].maximum}
    if r.random() < 0.5:
        values["immediate"] = r.randint(-100, 100)
    values |= _loops(r, taste, values)
    values |= _sources(r, taste, values)
    values |= _parameters(r, taste, values)
    values |= _destination(r, taste, values)
    return [Vector(**values)]


def _loops(r: random.Random, taste: Taste, values: _Values) -> _Values:
    inner = 1 if values["reduce"] == ReduceMode.NONE else 255
    whole_table = values["to"] == Destination.TABLE and r.random() < 0.2
    budget = 256 if whole_table else _budget(r, taste)
    return dict(zip(_LOOPS, _split(r, budget, (300, 300, inner, inner)), strict=True))


def _sources(r: random.Random, taste: Taste, values: _Values) -> _Values:
    """Addresses and strides of a, and of b in another bank, if it is no constant."""
    a_memory, b_memory = (_memory(source, values) for source in SOURCES)
    assert a_memory is not None  # SourceA has no constant.
    counts = [values[name] for name in _LOOPS]
    a, b = SOURCES
    result = _source(r, taste, a, a_memory, counts, _banks(taste, a_memory))
    if b_memory is not None:
        banks = _banks(taste, b_memory)
        if b_memory == a_memory:
            banks.remove(result[a.address] // taste.config.depth(a_memory))
        result |= _source(r, taste, b, b_memory, counts, banks)
    return result


def _banks(taste: Taste, memory: Memory) -> list[int]:
    return list(range(taste.config.banks(memory)))


def _source(
    r: random.Random,
    taste: Taste,
    operand: OperandField,
    memory: Memory,
    counts: Sequence[int],
    banks: Sequence[int],
) -> _Values:
    """First vector and strides of an operand that lies in one of `banks`."""
    depth = taste.config.depth(memory)
    names = [stride for _, stride in operand.loops]
    strides = _strides(r, counts, depth, [specs(Vector)[each] for each in names])
    first = r.choice(banks) * depth + _first(r, counts, strides, depth, taste.hot)
    return {operand.address: first, **dict(zip(names, strides, strict=True))}


def _parameters(r: random.Random, taste: Taste, values: _Values) -> _Values:
    used = sum(parameters_used(values.__getitem__))
    return {"parameter": _chip(r, taste, Memory.PARAMETER, ((used,), (1,)))} if used else {}


def _destination(r: random.Random, taste: Taste, values: _Values) -> _Values:
    """Where results go: a bank of no source, or a source's own block."""
    memory = _memory(DESTINATION, values)
    if memory is None:
        return {}
    sources = [source for source in SOURCES if _memory(source, values) == memory]
    taken = {values[source.address] // taste.config.depth(memory) for source in sources}
    free = [bank for bank in _banks(taste, memory) if bank not in taken]
    if sources and (not free or r.random() < 0.3):
        return _in_place(r, taste, values, r.choice(sources), memory)
    counts = [values[count] for count, _ in DESTINATION.loops]
    return _source(r, taste, DESTINATION, memory, counts, free)


def _memory(operand: OperandField, values: _Values) -> Memory | None:
    assert isinstance(operand.memory, str), "a vector instruction names the memories of its operands"
    return operand.memories(Vector)[values[operand.memory]]


def _in_place(
    r: random.Random, taste: Taste, values: _Values, source: OperandField, memory: Memory
) -> _Values:
    """The same block for a source and the destination; no address twice, and nothing reduced."""
    depth = taste.config.depth(memory)
    outer, inner = (values[count] for count, _ in DESTINATION.loops)
    n_1 = min(inner, depth)
    n_0 = min(outer, depth // n_1)
    counts, strides = [n_0, n_1], r.choice(([n_1, 1], [1, n_0], [-n_1, 1], [n_1, -1]))
    first = values[source.address] // depth * depth + _first(r, counts, strides, depth, taste.hot)
    result = dict.fromkeys(_LOOPS, 1)
    result |= zip((count for count, _ in DESTINATION.loops), counts, strict=True)
    rule = in_place(source)
    for value, pair in zip((first, *strides), rule.equal, strict=True):
        result |= dict.fromkeys(pair, value)
    return result


# --- nop ---------------------------------------------------------------------------------------------------


def _nop(r: random.Random, taste: Taste) -> list[Instruction]:
    return [Nop(**_rubbish(r, Nop))]


_DRAWS: Mapping[type[Instruction], Callable[[random.Random, Taste], list[Instruction]]] = {
    Load: _load,
    Store: _store,
    Matrix: _matrix,
    Vector: _vector,
    Nop: _nop,
}
