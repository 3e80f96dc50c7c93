"""Tiles of accumulators in vector registers, and the steps of a reduction over them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product as combinations

from llvmlite import ir

from tilewright.compiler.dtype import INDEX
from tilewright.compiler.targets.cpu.lane_kernel import LaneKernel
from tilewright.compiler.targets.cpu.value import LaneValue, index, vector


@dataclass(frozen=True)
class RowOffsets:
    """The offsets of a row in a and c from the first row, in elements."""

    a: int
    c: int


@dataclass
class LaneTile:
    """Accumulators in registers: `accumulators` are places of the stack that LLVM puts there.

    Members:
        lanes: of the whole loop nest.
        rows, columns: of the tile; a column is a vector.
        a, b, c: pointers to the first elements of the loop nest.
    """

    builder: ir.IRBuilder
    kernel: LaneKernel
    lanes: int
    rows: list[RowOffsets]
    columns: range
    a: ir.Value
    b: ir.Value
    c: ir.Value
    accumulators: Sequence[ir.Value] = ()

    @property
    def accumulator_type(self) -> ir.Type:
        """The type of a vector of accumulators while the kernel runs."""
        return self.kernel.open_type

    def count(self, column: int) -> int:
        """Lanes of a column: fewer in the last one."""
        return min(self.kernel.lanes, self.lanes - column * self.kernel.lanes)

    def fill(self, column: int, start: ir.Value) -> None:
        """The same in all rows."""
        opened = self.kernel.opened(self.builder, start)
        for row in range(len(self.rows)):
            self.builder.store(opened, self._accumulator(row, column))

    def load(self) -> None:
        """Load accumulators from memory."""
        for row, column in self._positions():
            count = self.count(column)
            of = ir.VectorType(self.kernel.accumulator_type.element, count)
            value = self.builder.load(self._result(row, column), typ=of, align=4)
            value = widened(self.builder, value, count, self.kernel.lanes)
            self.builder.store(self.kernel.opened(self.builder, value), self._accumulator(row, column))

    def store(self) -> None:
        """Store accumulators to memory."""
        for row, column in self._positions():
            opened = self.builder.load(self._accumulator(row, column), typ=self.accumulator_type)
            value = _narrowed(self.builder, self.kernel.closed(self.builder, opened), self.count(column))
            self.builder.store(value, self._result(row, column), align=4)

    def step(self, a: ir.Value, b: ir.Value) -> None:
        """One step of the reduction, with what is at these pointers."""
        columns = {column: self._b(b, column) for column in self.columns}
        for row, offsets in enumerate(self.rows):
            spread = self.kernel.spread(self.builder, self._at(a, offsets.a, self.kernel.a_element))
            for column, lanes in columns.items():
                pointer = self._accumulator(row, column)
                total = self.builder.load(pointer, typ=self.accumulator_type)
                self.builder.store(self.kernel.step(self.builder, total, spread, lanes), pointer)

    def _b(self, b: ir.Value, column: int) -> ir.Value:
        kernel, count = self.kernel, self.count(column)
        pointer = self._at(b, column * kernel.lanes * kernel.b_elements, kernel.element)
        of = ir.VectorType(kernel.element, count * kernel.b_elements)
        value = self.builder.load(pointer, typ=of, align=1)
        return widened(self.builder, value, of.count, kernel.lanes * kernel.b_elements)

    def _positions(self) -> Iterator[tuple[int, int]]:
        return combinations(range(len(self.rows)), self.columns)

    def _accumulator(self, row: int, column: int) -> ir.Value:
        return self.accumulators[row * len(self.columns) + column - self.columns.start]

    def _result(self, row: int, column: int) -> ir.Value:
        element = self.kernel.accumulator_type.element
        return self._at(self.c, self.rows[row].c + column * self.kernel.lanes, element)

    def _at(self, pointer: ir.Value, elements: int, of: ir.Type) -> ir.Value:
        return self.builder.gep(pointer, [index(elements).ir], inbounds=True, source_etype=of)


def widened(builder: ir.IRBuilder, value: ir.Value, count: int, lanes: int) -> ir.Value:
    """A vector, or the scalar of one lane, with zeros behind it."""
    if not isinstance(value.type, ir.VectorType):
        value = vector(builder, LaneValue(value, INDEX), 1)
        empty = ir.Constant(ir.VectorType(value.type, lanes), None)
        return builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
    if count == lanes:
        return value
    order = [min(lane, count) for lane in range(lanes)]
    return builder.shuffle_vector(value, ir.Constant(value.type, None), _mask(order))


def _narrowed(builder: ir.IRBuilder, value: ir.Value, count: int) -> ir.Value:
    if count == value.type.count:
        return value
    return builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), _mask(list(range(count))))


def _mask(order: list[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order)
