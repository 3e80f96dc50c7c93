"""The vector intrinsic: up to two loops over results and two that reduce, and the value of `expression`."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.targets.accel.intrinsic.axis import (
    StridedLoop,
    all_in_units,
    fitted,
    in_units,
    merged,
    without,
)
from tilewright.compiler.targets.accel.intrinsic.error import MatchProgress, MismatchError
from tilewright.compiler.targets.accel.intrinsic.expression import VectorValue, value_of
from tilewright.compiler.targets.accel.intrinsic.geometry import Geometry, Pattern
from tilewright.compiler.targets.accel.intrinsic.intrinsic import Intrinsic
from tilewright.compiler.targets.accel.intrinsic.iteration import Iterations
from tilewright.compiler.targets.accel.intrinsic.limits import Limits
from tilewright.compiler.targets.accel.intrinsic.nest import Nest
from tilewright.compiler.tir.buffer import Buffer, MemoryScope
from tilewright.compiler.tir.expr import BufferLoad
from tilewright.isa.encoding import IntArray
from tilewright.isa.instruction import Destination, Instruction, ReduceMode, SourceA, SourceB, Vector, specs
from tilewright.isa.memory import Memory
from tilewright.numerics.table import ENTRIES

_SPECS = specs(Vector)
_TABLE = f"a table must be written whole, {ENTRIES} entries one after the other, not {{}}"


class VectorIntrinsic(Intrinsic):
    """Loops that move the destination are over results, the others reduce; parameters stay where they are.

    A table is written whole, entry after entry; it has no address.

    The parameters lie one after the other in the order of the machine: bias, scale, factor, those in use.
    """

    name: ClassVar[str] = "vector"
    kind: ClassVar[type[Instruction]] = Vector

    def __init__(self, nest: Nest, limits: Limits) -> None:
        super().__init__(nest, limits)
        store = nest.last.store
        self._value = value_of(nest)
        self._limits = limits
        loads = {"destination": BufferLoad(store.buffer, store.indices), "a": self._value.item.a}
        if isinstance(self._value.item.b, BufferLoad):
            loads["b"] = self._value.item.b
        parameters = (self._value.bias, self._value.scale, self._value.item.factor)
        self._parameters = [load for load in parameters if load is not None]
        self._moving = len(loads)
        self.operands = _operands(loads, self._parameters)
        self._is_table = store.buffer.scope is MemoryScope.TABLE
        self._geometry = Geometry(self._value.loops, [*loads.values(), *self._parameters])
        self._constant = _constant_fields(self._value, store.buffer)

    def _addresses(self, pattern: Pattern, rows: Iterations) -> Mapping[str, IntArray]:
        cols = self._limits.cols
        addresses = [all_in_units(base(rows), cols, "a first element") for base in pattern.bases]
        if self._is_table and addresses[0].any():
            entry = np.ravel(addresses[0])[np.argmax(addresses[0] != 0)]
            raise MismatchError(_TABLE.format(f"from entry {entry} on"), MatchProgress.LIMITS)
        _check_parameters(addresses[self._moving :])
        first = int(self._is_table)
        return dict(zip(self.operands, addresses[first : first + len(self.operands)], strict=True))

    def _pattern(self, numbers: Sequence[int]) -> Pattern:
        key, _ = self._geometry.key(numbers)
        axes, bases = self._geometry.axes(key)
        axes = merged(without(axes, (1,) * len(self._geometry.accesses), self._limits.cols))
        for axis in axes:
            if any(axis.strides[self._moving :]):
                text = f"a loop of {axis.extent} steps moves the parameters: leave it outside"
                raise MismatchError(text, MatchProgress.LOOPS)
        results = _ordered([axis for axis in axes if axis.strides[0]])
        reductions = _ordered([axis for axis in axes if not axis.strides[0]])
        if reductions and self._value.reduce is ReduceMode.NONE:
            text = f"a loop of {reductions[0].extent} steps writes the same results again: leave it outside"
            raise MismatchError(text, MatchProgress.LOOPS)
        if self._is_table and [(axis.extent, axis.strides[0]) for axis in results] != [
            (ENTRIES, self._limits.cols)
        ]:
            raise MismatchError(
                _TABLE.format(f"in loops of {[axis.extent for axis in results]}"), MatchProgress.LOOPS
            )
        fields = self._loop_fields((1, 0), results, "over results")
        fields |= self._loop_fields((3, 2), reductions, "that reduce")
        return Pattern(Vector, {**self._constant, **fields}, bases)

    def _loop_fields(self, indices: tuple[int, int], axes: list[StridedLoop], what: str) -> dict[str, int]:
        fields = {}
        loops = fitted(axes, [_SPECS[f"n_{index}"].maximum for index in indices], what)
        names = ("destination", "a", "b")[: self._moving]
        for index, axis in zip(indices, loops, strict=True):
            fields[f"n_{index}"] = axis.extent
            for name, stride in zip(names, axis.strides, strict=False):
                has_stride = f"{name}_stride_{index}" in _SPECS and not (
                    self._is_table and name == "destination"
                )
                if axis.extent > 1 and has_stride:
                    vectors = in_units(stride, self._limits.cols, f"a stride of {name}")
                    fields[f"{name}_stride_{index}"] = vectors
        return fields


def _check_parameters(addresses: Sequence[IntArray]) -> None:
    """Refuse parameters that do not lie one after the other."""
    wrong = [address != addresses[0] + step for step, address in enumerate(addresses)]
    if wrong and (where := np.logical_or.reduce(np.broadcast_arrays(*wrong))).any():
        place = np.argmax(where)
        found = [int(np.ravel(np.broadcast_to(each, where.shape))[place]) for each in addresses]
        text = f"parameters must lie one after the other (bias, scale, factor), not at vectors {found}"
        raise MismatchError(text, MatchProgress.LIMITS)


def _ordered(axes: list[StridedLoop]) -> list[StridedLoop]:
    """Innermost first: what moves a least."""
    return sorted(axes, key=lambda axis: abs(axis.strides[1]))


def _operands(loads: dict[str, BufferLoad], parameters: list[BufferLoad]) -> dict[str, Buffer]:
    """The buffer of each address field."""
    operands = {
        name: load.buffer for name, load in loads.items() if load.buffer.scope is not MemoryScope.TABLE
    }
    names = {load.buffer.name for load in parameters}
    if len(names) > 1:
        text = f"bias, scale and factor must lie in one buffer, not in {', '.join(sorted(names))}"
        raise MismatchError(text, MatchProgress.EXPRESSION)
    if parameters:
        operands["parameter"] = parameters[0].buffer
    return operands


def _memory(buffer: Buffer) -> str:
    """The name of the memory of a buffer, whose elements must be those of the memory."""
    if buffer.scope is MemoryScope.TABLE and buffer.dtype is DType.INT8:
        return Destination.TABLE.name
    memory = Memory[buffer.scope.name]
    if buffer.dtype is not (DType.INT8 if memory.element_bytes == 1 else DType.INT32):
        text = f"{memory.label} memory does not hold {buffer.dtype}, the elements of buffer {buffer.name!r}"
        raise MismatchError(text, MatchProgress.EXPRESSION)
    return memory.name


def _constant_fields(value: VectorValue, destination: Buffer) -> dict[str, int]:
    """All fields that are no addresses, counts and strides."""
    fields = {
        "op": int(value.item.op),
        "to": int(Destination[_memory(destination)]),
        "a_from": int(SourceA[_memory(value.item.a.buffer)]),
        "reduce": int(value.reduce),
        "zero_point": value.zero_point,
        "bias": int(value.bias is not None),
        "requantise": int(value.scale is not None),
    }
    if destination.scope is not MemoryScope.ACCUMULATOR:
        fields |= {"lo": value.lo, "hi": value.hi, "lookup": int(value.is_looked_up)}
    if isinstance(value.item.b, BufferLoad):
        fields["b_from"] = int(SourceB[_memory(value.item.b.buffer)])
    else:
        fields |= {"b_from": int(SourceB.CONSTANT), "immediate": value.item.b}
    return fields
