"""Where the operands of an instruction lie: nests of affine loops over addresses.

The meaning, the footprint and the checker of an instruction all take its addresses from here.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.config import Config
from tilewright.isa.instruction import (
    Destination,
    Load,
    Matrix,
    SourceA,
    SourceB,
    Store,
    Vector,
    memory_of,
    specs,
)
from tilewright.isa.memory import Memory
from tilewright.isa.operand import parameters_used

ADDRESS_BITS = specs(Load)["address"].bits
"""Addresses of vectors on the chip are computed modulo 2**20."""
SLICE_ADDRESS_BITS = specs(Matrix)["activation"].bits
"""Addresses of slices are computed modulo 2**25."""


class AddressLoops(NamedTuple):
    """first + i_0 · strides[0] + i_1 · strides[1] + …, for 0 <= i_k < counts[k], the last loop innermost."""

    first: int
    counts: tuple[int, ...]
    strides: tuple[int, ...]

    def bounds(self) -> tuple[int, int]:
        """Lowest and highest address, both included, not reduced modulo anything; high < low if none."""
        low = high = self.first
        for count, stride in zip(self.counts, self.strides, strict=True):
            if count == 0:
                return self.first, self.first - 1
            if stride < 0:
                low += (count - 1) * stride
            else:
                high += (count - 1) * stride
        return low, high

    def addresses(self) -> NDArray[np.int64]:
        """Every address in the order of the loops, int64 of shape `counts`, not reduced modulo anything."""
        total = np.full(self.counts, self.first, np.int64)
        for axis, (count, stride) in enumerate(zip(self.counts, self.strides, strict=True)):
            shape = [1] * len(self.counts)
            shape[axis] = count
            total += (np.arange(count, dtype=np.int64) * stride).reshape(shape)
        return total

    def surely_distinct(self) -> bool:
        """Whether no two addresses are equal, as far as the strides alone say; False where they do not."""
        reach = 0
        loops = zip(self.counts, self.strides, strict=True)
        for stride, count in sorted((abs(stride), count) for count, stride in loops if count != 1):
            if stride <= reach:
                return False
            reach += stride * (count - 1)
        return True

    def deeper(self, count: int) -> "AddressLoops":
        """The nest with one more innermost loop, over `count` neighbours."""
        return AddressLoops(self.first, (*self.counts, count), (*self.strides, 1))


class Operand(NamedTuple):
    """An operand on the chip.

    Members:
        memory: where it lies.
        write: whether it is written; else it is read.
        nest: its addresses, in units of 1 / `slices` vector.
        slices: units a vector; 1 except for the activations of a matrix instruction.
    """

    memory: Memory
    write: bool
    nest: AddressLoops
    slices: int = 1

    @property
    def first_vector(self) -> int:
        """The vector that says which bank the operand lies in."""
        return self.nest.first // self.slices


# --- load and store ----------------------------------------------------------------------------------------


def load_block(load: Load) -> AddressLoops:
    """The vectors on the chip that a load writes, its padding included: (z, y, x)."""
    rows = load.pad_top + load.n_y + load.pad_bottom
    row = load.pad_left + load.n_x + load.pad_right
    return AddressLoops(load.address, (load.n_z, rows, row), (load.chip_stride_z, load.chip_stride_y, 1))


def store_block(store: Store) -> AddressLoops:
    """The vectors on the chip that a store reads: (z, y, x)."""
    strides = (store.chip_stride_z, store.chip_stride_y, store.chip_stride_x)
    return AddressLoops(store.address, (store.n_z, store.n_y, store.n_x), strides)


def memory_block(transfer: Load | Store) -> AddressLoops:
    """The first bytes of the vectors in memory, (z, y, x), counted from the base register."""
    counts = (transfer.n_z, transfer.n_y, transfer.n_x)
    return AddressLoops(transfer.offset, counts, (transfer.stride_z, transfer.stride_y, transfer.stride_x))


# --- matrix ------------------------------------------------------------------------------------------------


def matrix_slices(matrix: Matrix) -> AddressLoops:
    """The slices of `rows` activations, in units of slices: (y, x, ky, kx, ci)."""
    counts = (matrix.n_y, matrix.n_x, matrix.n_ky, matrix.n_kx, matrix.n_ci)
    strides = (matrix.stride_y, matrix.stride_x, matrix.stride_ky, matrix.stride_kx, matrix.stride_ci)
    return AddressLoops(matrix.activation, counts, strides)


def matrix_weights(matrix: Matrix, config: Config) -> AddressLoops:
    """The weight vectors of all tiles."""
    return AddressLoops(matrix.weight, (matrix.n_ky * matrix.n_kx * matrix.n_ci * config.rows,), (1,))


def matrix_results(matrix: Matrix) -> AddressLoops:
    """The accumulators."""
    return AddressLoops(matrix.accumulator, (matrix.n_y * matrix.n_x,), (1,))


# --- vector ------------------------------------------------------------------------------------------------


def vector_a(vector: Vector) -> AddressLoops:
    """The first operand: one vector an item."""
    strides = (vector.a_stride_0, vector.a_stride_1, vector.a_stride_2, vector.a_stride_3)
    return AddressLoops(vector.a, (vector.n_0, vector.n_1, vector.n_2, vector.n_3), strides)


def vector_b(vector: Vector) -> AddressLoops:
    """The second operand, if it is no constant: one vector an item."""
    strides = (vector.b_stride_0, vector.b_stride_1, vector.b_stride_2, vector.b_stride_3)
    return AddressLoops(vector.b, (vector.n_0, vector.n_1, vector.n_2, vector.n_3), strides)


def vector_results(vector: Vector) -> AddressLoops:
    """The results, if they go to no table: one vector a step of the two outer loops."""
    strides = (vector.destination_stride_0, vector.destination_stride_1)
    return AddressLoops(vector.destination, (vector.n_0, vector.n_1), strides)


def vector_parameters(vector: Vector) -> AddressLoops:
    """The parameter vectors that are used, dense."""
    return AddressLoops(vector.parameter, (sum(parameters_used(partial(getattr, vector))),), (1,))


# --- any ---------------------------------------------------------------------------------------------------


A_MEMORY = tuple(memory_of(place) for place in SourceA)
"""By `a_from`: the memory that the first operand of a vector instruction lies in."""
B_MEMORY = tuple(memory_of(place) for place in SourceB)
"""By `b_from`: the memory that the second operand lies in; None for a constant."""
DESTINATION_MEMORY = tuple(memory_of(place) for place in Destination)
"""By `to`: the memory that the results go to; None for the tables."""


def operands(instruction: object, config: Config) -> tuple[Operand, ...]:
    """Every operand on the chip; accumulators that a matrix instruction adds to are listed as written."""
    match instruction:
        case Load():
            return (Operand(Memory(instruction.memory), True, load_block(instruction)),)
        case Store():
            return (Operand(Memory(instruction.memory), False, store_block(instruction)),)
        case Matrix():
            return (
                Operand(Memory.ACTIVATION, False, matrix_slices(instruction), config.slices),
                Operand(Memory.WEIGHT, False, matrix_weights(instruction, config)),
                Operand(Memory.ACCUMULATOR, True, matrix_results(instruction)),
            )
        case Vector():
            return tuple(_vector_operands(instruction))
    return ()


def _vector_operands(vector: Vector) -> list[Operand]:
    parameters = vector_parameters(vector)
    places = (
        (A_MEMORY[vector.a_from], False, vector_a(vector)),
        (B_MEMORY[vector.b_from], False, vector_b(vector)),
        (Memory.PARAMETER if parameters.counts[0] else None, False, parameters),
        (DESTINATION_MEMORY[vector.to], True, vector_results(vector)),
    )
    return [Operand(memory, write, nest) for memory, write, nest in places if memory is not None]
