"""Random instructions that are legal and stay inside their operands, for tests of every device."""

import random
from collections.abc import Callable, Mapping, Sequence
from math import prod

from tilewright.isa.instruction import (
    Instruction,
    Load,
    Matrix,
    Nop,
    Spec,
    Store,
    Vector,
    specs,
)
from tilewright.isa.memory import Memory
from tilewright.isa.operand import OPERANDS
from tilewright.isa.random_value import (
    Taste,
    Values,
    anything,
    draw_address,
    draw_bank,
    draw_budget,
    draw_counts,
    draw_fields,
    draw_first,
    draw_strides,
)
from tilewright.isa.random_vector import random_vector


def random_instructions(r: random.Random, taste: Taste) -> list[Instruction]:
    """One instruction, or several that belong together, without tokens."""
    kinds = list(taste.weights)
    kind = r.choices(kinds, [taste.weights[each] for each in kinds])[0]
    return _DRAWS[kind](r, taste)


# --- load and store ----------------------------------------------------------------------------------------

_AXES = ("z", "y", "x")
_OUTSIDE_STRIDES = tuple(f"stride_{axis}" for axis in _AXES)
_BLOCK_COUNTS = tuple(f"n_{axis}" for axis in _AXES)


def _chip_strides(kind: type[Instruction]) -> list[str]:
    """Those of the loops of a block, as far as an instruction has them; the others are 1."""
    return [name for axis in _AXES if (name := f"chip_stride_{axis}") in specs(kind)]


def _load(r: random.Random, taste: Taste) -> list[Instruction]:
    values = draw_fields(r, Load)
    config, memory = taste.config, Memory(values["memory"])
    beats = config.vector_bytes(memory) // config.transfer_bytes(memory)
    depth = config.depth(memory)
    counts = draw_counts(r, draw_budget(r, taste) // beats, (5, min(depth, 255), min(depth, 255)))
    if r.random() < 0.3:
        counts = [counts[0], *(max(count, r.randint(2, 5)) for count in counts[1:])]
    values["n_z"] = counts[0]
    values |= _padded(r, counts[1], ("pad_top", "n_y", "pad_bottom"))
    values |= _padded(r, counts[2], ("pad_left", "n_x", "pad_right"))
    names = _chip_strides(Load)
    strides = draw_strides(r, counts[:2], depth - (counts[2] - 1), [specs(Load)[name] for name in names])
    values |= zip(names, strides, strict=True)
    values["address"] = draw_address(r, taste, memory, (counts, (*strides, 1)))
    return [Load(**values | _outside(r, taste, Load, values))]


def _padded(r: random.Random, total: int, names: tuple[str, str, str]) -> Values:
    """Split a side of a block into padding, data and padding; seldom all is padding."""
    least = 0 if r.random() < 0.04 else 1
    if r.random() < 0.4:
        return dict(zip(names, (0, total, 0), strict=True))
    before = r.randint(0, min(total - least, 3))
    after = total - before if least == 0 else r.randint(0, min(total - before - least, 3))
    return dict(zip(names, (before, total - before - after, after), strict=True))


def _store(r: random.Random, taste: Taste) -> list[Instruction]:
    values = draw_fields(r, Store)
    config, memory = taste.config, Memory(values["memory"])
    vector_bytes, depth = config.vector_bytes(memory), config.depth(memory)
    counts = draw_counts(
        r, draw_budget(r, taste) * config.transfer_bytes(memory) // vector_bytes, (5, 255, 255)
    )
    names = _chip_strides(Store)
    strides = draw_strides(r, counts, depth, [specs(Store)[name] for name in names])
    values |= zip(names, strides, strict=True)
    values |= zip(_BLOCK_COUNTS, counts, strict=True)
    values["address"] = draw_address(r, taste, memory, (counts, strides))
    values["bytes"] = r.choice((vector_bytes, vector_bytes, 1, r.randint(1, vector_bytes)))
    return [Store(**values | _outside(r, taste, Store, values))]


def _outside(r: random.Random, taste: Taste, kind: type[Instruction], values: Values) -> Values:
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
        strides = draw_strides(r, counts, span, rows)
        if counts[2] > 1 and r.random() < 0.6:
            strides = _with_dense_rows(r, counts, span, rows, vector // unit)
        first = draw_first(r, counts, strides, span, taste.hot)
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
        return draw_strides(r, counts, span, rows)
    return [*draw_strides(r, counts[:2], span - reach, rows[:2]), dense]


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
    values = draw_fields(r, Matrix)
    budget = draw_budget(r, taste)
    results = [1, 1] if r.random() < 0.25 else draw_counts(r, budget, (config.depth(Memory.ACCUMULATOR),) * 2)
    results[1] = min(results[1], config.depth(Memory.ACCUMULATOR) // results[0])
    period = max(prod(results), config.rows)
    most = config.depth(Memory.WEIGHT) // config.rows
    tiles = draw_counts(r, min(most, max(1, 2 * budget // period)), (8, 8, 64))
    counts = [*results, *tiles]
    strides = draw_strides(
        r, counts, config.depth(Memory.ACTIVATION) * config.slices, [table[name] for name in _SLICE_STRIDES]
    )
    values |= zip((*_SLICE_COUNTS, *_SLICE_STRIDES), (*counts, *strides), strict=True)
    return Matrix(**values | _matrix_places(r, taste, counts, strides))


def _matrix_places(r: random.Random, taste: Taste, counts: Sequence[int], strides: Sequence[int]) -> Values:
    config = taste.config
    slices = config.depth(Memory.ACTIVATION) * config.slices
    weights, results = prod(counts[2:]) * config.rows, prod(counts[:2])
    bank = draw_bank(r, taste, Memory.ACTIVATION)
    return {
        "activation": bank * slices + draw_first(r, counts, strides, slices, taste.hot),
        "weight": draw_address(r, taste, Memory.WEIGHT, ((weights,), (1,))),
        "accumulator": draw_address(r, taste, Memory.ACCUMULATOR, ((results,), (1,))),
    }


def _next_matrix(r: random.Random, taste: Taste, first: Matrix) -> Matrix:
    """The same product again, onto the same accumulators or others: what hazards are made of."""
    values = {name: getattr(first, name) for name in specs(Matrix)}
    values["accumulate"] = int(r.random() < 0.8)
    if r.random() < 0.4:
        results = first.n_y * first.n_x
        values["accumulator"] = draw_address(r, taste, Memory.ACCUMULATOR, ((results,), (1,)))
    return Matrix(**values)


# --- nop ---------------------------------------------------------------------------------------------------


def _nop(r: random.Random, taste: Taste) -> list[Instruction]:
    return [Nop(**draw_fields(r, Nop))]


_DRAWS: Mapping[type[Instruction], Callable[[random.Random, Taste], list[Instruction]]] = {
    Load: _load,
    Store: _store,
    Matrix: _matrix,
    Vector: random_vector,
    Nop: _nop,
}
