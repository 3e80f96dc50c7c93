"""Random vector instructions; convolutions among them, over which a window can slide, or nearly."""

import random
from collections.abc import Sequence

from tilewright.isa.instruction import (
    Destination,
    Instruction,
    ReduceMode,
    SourceA,
    SourceB,
    Vector,
    VectorOp,
    specs,
)
from tilewright.isa.memory import Memory
from tilewright.isa.operand import DESTINATION, SOURCES, OperandField, in_place, parameters_used
from tilewright.isa.random_value import (
    Taste,
    Values,
    draw_address,
    draw_budget,
    draw_counts,
    draw_fields,
    draw_first,
    draw_strides,
)

_CONVOLUTIONS = 0.3
"""Share of convolutions."""
_LOOPS = tuple(count for count, _ in SOURCES[0].loops)


def random_vector(r: random.Random, taste: Taste) -> list[Instruction]:
    """A vector instruction, as a list of one."""
    values = draw_fields(r, Vector)
    values["op"] = r.choice((*VectorOp, VectorOp.PASS))
    values["reduce"] = r.choice((ReduceMode.NONE, ReduceMode.NONE, ReduceMode.NONE, *ReduceMode))
    if values["op"] == VectorOp.PASS:
        values["b_from"] = SourceB.CONSTANT
    values["lookup"] = int(values["to"] != Destination.TABLE and r.random() < 0.15)
    if r.random() < 0.6:
        values |= {"lo": specs(Vector)["lo"].minimum, "hi": specs(Vector)["hi"].maximum}
    if r.random() < 0.5:
        values["immediate"] = r.randint(-100, 100)
    if r.random() < _CONVOLUTIONS:
        values |= _convolution(r, taste, values)
    else:
        values |= _loops(r, taste, values)
        values |= _sources(r, taste, values)
    values |= _parameters(r, taste, values)
    values |= _destination(r, taste, values)
    return [Vector(**values)]


def _loops(r: random.Random, taste: Taste, values: Values) -> Values:
    inner = 1 if values["reduce"] == ReduceMode.NONE else 255
    whole_table = values["to"] == Destination.TABLE and r.random() < 0.2
    budget = 256 if whole_table else draw_budget(r, taste)
    return dict(zip(_LOOPS, draw_counts(r, budget, (300, 300, inner, inner)), strict=True))


def _convolution(r: random.Random, taste: Taste, values: Values) -> Values:
    """Loops and sources of a convolution with the same weights for all results; now and then of another."""
    depth = taste.config.depth(Memory.ACTIVATION)
    values |= {"op": VectorOp.MULTIPLY, "reduce": ReduceMode.ADD, "a_from": SourceA.ACTIVATION}
    lines, along, rows, columns = draw_counts(r, draw_budget(r, taste), (5, 40, 8, 10))
    # Most budgets are of few items; a window turns corners only with several results, lines and rows.
    lines, along = max(lines, r.choice((1, 1, 2))), max(along, r.choice((1, 2, 3, 5)))
    rows, columns = max(rows, r.choice((1, 1, 2, 3))), max(columns, r.choice((2, 3, 3, 4, 5, 6, 7, 8, 9)))
    step = r.choice((1, 1, 1, 2, 2, 2, 3))
    columns = min(columns, depth)
    along = min(along, (depth - columns) // step + 1)
    counts = [lines, along, rows, columns]
    result = dict(zip(_LOOPS, counts, strict=True))
    result |= _sources(r, taste, values | result)
    return result | _along_line(r, taste, result, step) | (_weights() if r.random() < 0.9 else {})


def _along_line(r: random.Random, taste: Taste, values: Values, step: int) -> Values:
    """Strides of a with which the columns of the kernel move by `step` from result to result."""
    depth = taste.config.depth(Memory.ACTIVATION)
    lines, along, rows, columns = counts = [values[name] for name in _LOOPS]
    reach = (along - 1) * step + columns - 1
    apart = min(r.choice((0, 1, 1, 1, 2, 3)), (depth - 1) // reach if reach else 1)
    apart = apart if r.random() < 0.8 else -apart
    _, names = zip(*SOURCES[0].loops, strict=True)
    table = [specs(Vector)[name] for name in names]
    outer = draw_strides(r, [lines, rows], depth - abs(apart) * reach, [table[0], table[2]])
    strides = [outer[0], step * apart, outer[1], apart]
    bank = values[SOURCES[0].address] // depth
    first = bank * depth + draw_first(r, counts, strides, depth, taste.hot)
    return {SOURCES[0].address: first, **dict(zip(names, strides, strict=True))}


def _weights() -> Values:
    """Strides of b that are the same for all results."""
    return {stride: 0 for _, stride in SOURCES[1].loops[:2]}


def _sources(r: random.Random, taste: Taste, values: Values) -> Values:
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
) -> Values:
    """First vector and strides of an operand that lies in one of `banks`."""
    depth = taste.config.depth(memory)
    names = [stride for _, stride in operand.loops]
    strides = draw_strides(r, counts, depth, [specs(Vector)[each] for each in names])
    first = r.choice(banks) * depth + draw_first(r, counts, strides, depth, taste.hot)
    return {operand.address: first, **dict(zip(names, strides, strict=True))}


def _parameters(r: random.Random, taste: Taste, values: Values) -> Values:
    used = sum(parameters_used(values.__getitem__))
    return {"parameter": draw_address(r, taste, Memory.PARAMETER, ((used,), (1,)))} if used else {}


def _destination(r: random.Random, taste: Taste, values: Values) -> Values:
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


def _memory(operand: OperandField, values: Values) -> Memory | None:
    assert isinstance(operand.memory, str), "a vector instruction names the memories of its operands"
    return operand.memories(Vector)[values[operand.memory]]


def _in_place(r: random.Random, taste: Taste, values: Values, source: OperandField, memory: Memory) -> Values:
    """The same block for a source and the destination; no address twice, and nothing reduced."""
    depth = taste.config.depth(memory)
    outer, inner = (values[count] for count, _ in DESTINATION.loops)
    n_1 = min(inner, depth)
    n_0 = min(outer, depth // n_1)
    counts, strides = [n_0, n_1], r.choice(([n_1, 1], [1, n_0], [-n_1, 1], [n_1, -1]))
    first = values[source.address] // depth * depth + draw_first(r, counts, strides, depth, taste.hot)
    result = dict.fromkeys(_LOOPS, 1)
    result |= zip((count for count, _ in DESTINATION.loops), counts, strict=True)
    rule = in_place(source)
    for value, pair in zip((first, *strides), rule.equal, strict=True):
        result |= dict.fromkeys(pair, value)
    return result
