"""What every instruction does to the chip and to the memory outside (docs/machine.md, Meaning).

Instructions are taken to be defined (`isa.legality`). Addresses that leave the bank of an operand read 0 and
drop writes, and everything an instruction reads is read before anything is written.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import address
from tilewright.isa.address import A_MEMORY, ADDRESS_BITS, B_MEMORY, AddressLoops
from tilewright.isa.instruction import (
    INSTRUCTIONS,
    Destination,
    Instruction,
    Load,
    Matrix,
    ReduceMode,
    Store,
    Vector,
    VectorOp,
)
from tilewright.isa.memory import Memory
from tilewright.isa.operand import parameters_used
from tilewright.isa.state import MEMORY_ADDRESS_BITS, Dram, State
from tilewright.numerics.requantise import requantise
from tilewright.numerics.saturate import saturate, saturated_sum, saturating_add
from tilewright.numerics.table import ENTRIES, look_up

Int = NDArray[np.signedinteger]
Int32 = NDArray[np.int32]

FLOAT_PRODUCTS = 1024
"""Products of two int8 whose sum float32 holds exactly, whatever the order: 1024 · 2¹⁴ = 2²⁴."""


def execute(instruction: Instruction, state: State, dram: Dram) -> None:
    """Do what `instruction` does: change `state` and `dram.data` in place."""
    match instruction:
        case Load():
            _load(instruction, state, dram)
        case Store():
            _store(instruction, state, dram)
        case Matrix():
            _matrix(instruction, state)
        case Vector():
            _vector(instruction, state)


def execute_fields(opcode: int, fields: Mapping[str, int], state: State, dram: Dram) -> None:
    """`execute` of the fields of a defined instruction, as Python integers, without checking them again."""
    kind = _KINDS[opcode]
    instruction = object.__new__(kind)
    instruction.__dict__.update(fields)
    execute(instruction, state, dram)


def apply(program: Iterable[Instruction], state: State, dram: Dram) -> None:
    """Execute a program in its order: what the machine computes if the checker accepts it."""
    for instruction in program:
        execute(instruction, state, dram)


_KINDS: Mapping[int, type[Instruction]] = MappingProxyType({kind.opcode: kind for kind in INSTRUCTIONS})

# --- vectors on the chip -----------------------------------------------------------------------------------


def _read(state: State, memory: Memory, nest: AddressLoops) -> Int:
    """The vectors of an operand, shape (*counts, cols); a view where the addresses allow it."""
    return _gather(state.memories[memory], state.depths[memory], nest, ADDRESS_BITS)


def _gather(vectors: Int, depth: int, nest: AddressLoops, bits: int) -> Int:
    """Rows of `vectors` at the addresses of `nest`, 0 where they leave the bank of the first."""
    bank = nest.first // depth
    if _within(nest, bank * depth, depth):
        return _view(vectors, nest)
    places = nest.addresses() & ((1 << bits) - 1)
    inside = places // depth == bank
    found: Int = vectors[np.where(inside, places, 0)]
    found[~inside] = 0
    return found


def _write(state: State, memory: Memory, nest: AddressLoops, values: Int) -> None:
    """Write vectors of shape (*counts, cols); the last one stays where addresses repeat."""
    vectors, depth = state.memories[memory], state.depths[memory]
    bank = nest.first // depth
    if _within(nest, bank * depth, depth) and nest.surely_distinct():
        _view(vectors, nest)[...] = values
        return
    places = nest.addresses().ravel() & ((1 << ADDRESS_BITS) - 1)
    kept = _last_of_each(places)
    kept = kept[places[kept] // depth == bank]
    vectors[places[kept]] = values.reshape(-1, vectors.shape[1])[kept]


def _within(nest: AddressLoops, first: int, length: int) -> bool:
    low, high = nest.bounds()
    return first <= low and high < first + length


def _view(vectors: Int, nest: AddressLoops) -> Int:
    """The rows at `nest`, which lie inside, without a copy."""
    row, element = vectors.strides
    strides = [stride * row for stride in nest.strides]
    shape = (*nest.counts, vectors.shape[1])
    return np.ndarray(shape, vectors.dtype, vectors, nest.first * row, (*strides, element))


def _last_of_each(places: NDArray[Any]) -> NDArray[np.intp]:
    """Where each value of `places` stands last: NumPy does not say which of two writes to one place wins."""
    _, backwards = np.unique(places[::-1], return_index=True)
    result: NDArray[np.intp] = len(places) - 1 - backwards
    return result


# --- load and store ----------------------------------------------------------------------------------------


def _load(load: Load, state: State, dram: Dram) -> None:
    memory = Memory(load.memory)
    vectors = state.memories[memory]
    data = _fetch(dram, _absolute(address.memory_block(load), dram.bases[load.base]), vectors)
    block = address.load_block(load)
    if block.counts != data.shape[:3]:
        padded = np.full((*block.counts, vectors.shape[1]), load.pad_value, vectors.dtype)
        rows = slice(load.pad_top, load.pad_top + load.n_y)
        padded[:, rows, load.pad_left : load.pad_left + load.n_x] = data
        data = padded
    _write(state, memory, block, data)


def _absolute(nest: AddressLoops, base: int) -> AddressLoops:
    return AddressLoops((nest.first + base) % (1 << MEMORY_ADDRESS_BITS), nest.counts, nest.strides)


def _fetch(dram: Dram, nest: AddressLoops, like: Int) -> Int:
    """Vectors like the rows of `like` from bytes of the memory outside, shape (*counts, cols)."""
    cols, element_bytes = like.shape[1], like.itemsize
    low, high = nest.bounds()
    if low >= 0 and high + cols * element_bytes <= dram.size:
        shape, strides = (*nest.counts, cols), (*nest.strides, element_bytes)
        return np.ndarray(shape, like.dtype, dram.data, nest.first, strides)
    places = _byte_addresses(nest, cols * element_bytes)
    inside = places < dram.size
    found = np.zeros(places.shape, np.uint8)
    found[inside] = dram.data[places[inside]]
    return found.view(like.dtype)


def _byte_addresses(nest: AddressLoops, length: int) -> NDArray[np.uint64]:
    """The addresses of `length` bytes at each address of `nest`, modulo 2**64."""
    from_first = AddressLoops(0, nest.counts, nest.strides).deeper(length).addresses()
    return from_first.astype(np.uint64) + np.uint64(nest.first)


def _store(store: Store, state: State, dram: Dram) -> None:
    memory = Memory(store.memory)
    block = address.store_block(store)
    data = np.ascontiguousarray(_read(state, memory, block)).view(np.uint8)[..., : store.bytes]
    nest = _absolute(address.memory_block(store), dram.bases[store.base])
    low, high = nest.bounds()
    chip_inside = _inside(block, state.depths[memory])
    plain = chip_inside is None and low >= 0 and high + store.bytes <= dram.size
    if plain and nest.deeper(store.bytes).surely_distinct():
        shape, strides = (*nest.counts, store.bytes), (*nest.strides, 1)
        np.ndarray(shape, np.uint8, dram.data, nest.first, strides)[...] = data
        return
    places = _byte_addresses(nest, store.bytes)
    inside = places < dram.size
    if chip_inside is not None:
        inside &= chip_inside[..., None]
    kept = _last_of_each(places[inside])
    dram.data[places[inside][kept]] = data[inside][kept]


def _inside(nest: AddressLoops, depth: int) -> NDArray[np.bool_] | None:
    """Which addresses lie in the bank of the first, of shape `counts`; None if all do."""
    bank = nest.first // depth
    if _within(nest, bank * depth, depth):
        return None
    result: NDArray[np.bool_] = (nest.addresses() & ((1 << ADDRESS_BITS) - 1)) // depth == bank
    return result


# --- matrix ------------------------------------------------------------------------------------------------


def _matrix(matrix: Matrix, state: State) -> None:
    config = state.config
    slices = state.memories[Memory.ACTIVATION].reshape(-1, config.rows)
    depth = state.depths[Memory.ACTIVATION] * config.slices
    activations = _gather(slices, depth, address.matrix_slices(matrix), address.SLICE_ADDRESS_BITS)
    weights = _read(state, Memory.WEIGHT, address.matrix_weights(matrix, config))
    result = _product(activations, weights)
    nest = address.matrix_results(matrix)
    if matrix.accumulate:
        result += _read(state, Memory.ACCUMULATOR, nest)
    _write(state, Memory.ACCUMULATOR, nest, result)


def _product(activations: Int, weights: Int) -> Int32:
    """Slices (y, x, ky, kx, ci, rows) times tiles (ky · kx · ci · rows, cols): int32 (y · x, cols)."""
    length = weights.shape[0]
    if length <= FLOAT_PRODUCTS:
        # In the order of the loops: NumPy would keep that of the memory, and copy once more to reshape.
        left = activations.astype(np.float32, order="C").reshape(-1, length)
        return (left @ weights.astype(np.float32)).astype(np.int32)
    flat = activations.reshape(-1, length)
    total = np.zeros((flat.shape[0], weights.shape[1]), np.int32)
    for first in range(0, length, FLOAT_PRODUCTS):
        part = slice(first, first + FLOAT_PRODUCTS)
        total += (flat[:, part].astype(np.float32) @ weights[part].astype(np.float32)).astype(np.int32)
    return total


# --- vector ------------------------------------------------------------------------------------------------


def _vector(vector: Vector, state: State) -> None:
    memory = A_MEMORY[vector.a_from]
    assert memory is not None
    a = _read(state, memory, _reduced_first(address.vector_a(vector)))
    bias, scale, factor = _parameters(vector, state)
    items = _OPERATIONS[vector.op](a, _second(vector, state), factor)
    _put(vector, state, _scaled(_reduce(items, vector.reduce), bias, scale, vector.zero_point))


def _reduced_first(nest: AddressLoops) -> AddressLoops:
    """The loops as (n_2, n_3, n_0, n_1): a reduction adds whole arrays then, several times as fast."""
    _, counts, strides = nest
    return AddressLoops(nest.first, counts[2:] + counts[:2], strides[2:] + strides[:2])


def _second(vector: Vector, state: State) -> Int:
    """The items of b, with one step where a loop does not move, or a constant without axes."""
    memory = B_MEMORY[vector.b_from]
    if memory is None:
        return np.array(vector.immediate, np.int32)
    first, counts, strides = _reduced_first(address.vector_b(vector))
    steps = tuple(count if stride else 1 for count, stride in zip(counts, strides, strict=True))
    return _read(state, memory, AddressLoops(first, steps, strides))


def _scaled(t: Int32, bias: Int32 | None, scale: Int32 | None, zero_point: int) -> Int32:
    """Bias, requantisation and zero point, as far as they are asked for."""
    if scale is None:
        return t if bias is None else saturating_add(t, bias)
    return requantise(t if bias is None else saturated_sum(t, bias), scale) + np.int32(zero_point)


def _parameters(vector: Vector, state: State) -> list[Int32 | None]:
    """Bias, scale and factor: None for those that are not used."""
    nest = address.vector_parameters(vector)
    vectors = iter(_read(state, Memory.PARAMETER, nest) if nest.counts[0] else ())
    return [next(vectors) if used else None for used in parameters_used(partial(getattr, vector))]


def _narrow(x: Int, bits: int) -> Int:
    return saturate(x, bits) if 8 * x.itemsize > bits else x


# In the order of the loops, else NumPy would keep that of the memory, and copy once more to reduce.
_Binary = Callable[[Int, Int], Int32]
_add: _Binary = partial(np.add, dtype=np.int32, order="C")
_subtract: _Binary = partial(np.subtract, dtype=np.int32, order="C")
_maximum: _Binary = partial(np.maximum, dtype=np.int32, order="C")
_minimum: _Binary = partial(np.minimum, dtype=np.int32, order="C")
_product_of: _Binary = partial(np.multiply, dtype=np.int32, order="C")


def _multiply_add(a: Int, b: Int, factor: Int | None) -> Int32:
    assert factor is not None
    return _add(a, _product_of(_narrow(factor, 16), _narrow(b, 8)))


_OPERATIONS: Mapping[int, Callable[[Int, Int, Int | None], Int32]] = MappingProxyType(
    {
        VectorOp.PASS: lambda a, _b, _factor: a.astype(np.int32, order="C", copy=False),
        VectorOp.ADD: lambda a, b, _factor: _add(a, b),
        VectorOp.SUBTRACT: lambda a, b, _factor: _subtract(a, b),
        VectorOp.MAXIMUM: lambda a, b, _factor: _maximum(a, b),
        VectorOp.MINIMUM: lambda a, b, _factor: _minimum(a, b),
        VectorOp.MULTIPLY: lambda a, b, _factor: _product_of(_narrow(a, 16), _narrow(b, 8)),
        VectorOp.MULTIPLY_ADD: _multiply_add,
    }
)

_REDUCTIONS: Mapping[int, np.ufunc] = MappingProxyType(
    {ReduceMode.ADD: np.add, ReduceMode.MAXIMUM: np.maximum, ReduceMode.MINIMUM: np.minimum}
)


def _reduce(items: Int32, reduce: int) -> Int32:
    """Items (n_2, n_3, n_0, n_1, cols) reduced over n_2 and n_3: (n_0 · n_1, cols)."""
    n_2, n_3, n_0, n_1, cols = items.shape
    if n_2 * n_3 == 1:
        return items.reshape(n_0 * n_1, cols)
    flat = items.reshape(n_2 * n_3, n_0 * n_1 * cols)
    reduced: Int32 = _REDUCTIONS[reduce].reduce(flat, axis=0, dtype=np.int32)
    return reduced.reshape(n_0 * n_1, cols)


def _put(vector: Vector, state: State, y: Int32) -> None:
    """Write the results, (n_0 · n_1, cols), as the destination takes them."""
    if vector.to == Destination.ACCUMULATOR:
        nest = address.vector_results(vector)
        _write(state, Memory.ACCUMULATOR, nest, y.reshape(*nest.counts, -1))
        return
    narrow = np.minimum(np.maximum(y, vector.lo), vector.hi).astype(np.int8)
    if vector.lookup:
        narrow = look_up(state.tables, narrow)
    if vector.to == Destination.TABLE:
        _put_table(state, narrow)
    else:
        nest = address.vector_results(vector)
        _write(state, Memory.ACTIVATION, nest, narrow.reshape(*nest.counts, -1))


def _put_table(state: State, entries: NDArray[np.int8]) -> None:
    last = entries[-ENTRIES:]
    places = np.arange(len(entries) - len(last), len(entries)) % ENTRIES
    state.tables[:, places] = last.T
