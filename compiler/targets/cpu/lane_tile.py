"""Tiles of sums in vector registers, and the steps of a fold over them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product as combinations

from llvmlite import ir

from tilewright.compiler.dtype import INDEX
from tilewright.compiler.targets.cpu.lane_kernel import LaneKernel
from tilewright.compiler.targets.cpu.value import Value, index, vector


@dataclass(frozen=True)
class Place:
    """A row: how far its elements of a and c are from the first row's."""

    a: int
    c: int


@dataclass
class LaneTile:
    """Sums in registers: `sums` are places of the stack that LLVM puts there.

    Members:
        lanes: of the whole nest.
        rows, columns: of the tile; a column is a vector.
        a, b, c: pointers to the first elements of the nest.
    """

    builder: ir.IRBuilder
    kernel: LaneKernel
    lanes: int
    rows: list[Place]
    columns: range
    a: ir.Value
    b: ir.Value
    c: ir.Value
    sums: Sequence[ir.Value] = ()

    @property
    def sum_type(self) -> ir.Type:
        """Of a vector of sums while the kernel runs."""
        return self.kernel.open_type

    def count(self, column: int) -> int:
        """Lanes of a column: fewer in the last one."""
        return min(self.kernel.lanes, self.lanes - column * self.kernel.lanes)

    def fill(self, column: int, start: ir.Value) -> None:
        """The same in all rows."""
        opened = self.kernel.opened(self.builder, start)
        for row in range(len(self.rows)):
            self.builder.store(opened, self._sum(row, column))

    def load(self) -> None:
        """Sums of memory."""
        for row, column in self._places():
            count = self.count(column)
            of = ir.VectorType(self.kernel.sum_type.element, count)
            value = self.builder.load(self._result(row, column), typ=of, align=4)
            value = widened(self.builder, value, count, self.kernel.lanes)
            self.builder.store(self.kernel.opened(self.builder, value), self._sum(row, column))

    def store(self) -> None:
        """Sums to memory."""
        for row, column in self._places():
            opened = self.builder.load(self._sum(row, column), typ=self.sum_type)
            value = _narrowed(self.builder, self.kernel.closed(self.builder, opened), self.count(column))
            self.builder.store(value, self._result(row, column), align=4)

    def step(self, a: ir.Value, b: ir.Value) -> None:
        """One step of the fold, with what is at these pointers."""
        columns = {column: self._b(b, column) for column in self.columns}
        for row, place in enumerate(self.rows):
            spread = self.kernel.spread(self.builder, self._at(a, place.a, self.kernel.element))
            for column, lanes in columns.items():
                pointer = self._sum(row, column)
                total = self.builder.load(pointer, typ=self.sum_type)
                self.builder.store(self.kernel.step(self.builder, total, spread, lanes), pointer)

    def _b(self, b: ir.Value, column: int) -> ir.Value:
        kernel, count = self.kernel, self.count(column)
        pointer = self._at(b, column * kernel.lanes * kernel.b_elements, kernel.element)
        of = ir.VectorType(kernel.element, count * kernel.b_elements)
        value = self.builder.load(pointer, typ=of, align=1)
        return widened(self.builder, value, of.count, kernel.lanes * kernel.b_elements)

    def _places(self) -> Iterator[tuple[int, int]]:
        return combinations(range(len(self.rows)), self.columns)

    def _sum(self, row: int, column: int) -> ir.Value:
        return self.sums[row * len(self.columns) + column - self.columns.start]

    def _result(self, row: int, column: int) -> ir.Value:
        element = self.kernel.sum_type.element
        return self._at(self.c, self.rows[row].c + column * self.kernel.lanes, element)

    def _at(self, pointer: ir.Value, elements: int, of: ir.Type) -> ir.Value:
        return self.builder.gep(pointer, [index(elements).ir], inbounds=True, source_etype=of)


def widened(builder: ir.IRBuilder, value: ir.Value, count: int, lanes: int) -> ir.Value:
    """A vector, or the scalar of one lane, with zeros behind it."""
    if not isinstance(value.type, ir.VectorType):
        value = vector(builder, Value(value, INDEX), 1)
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
