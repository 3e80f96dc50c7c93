"""The systolic array: weights stay, activations move right, sums down, and tiles change along a diagonal."""

import itertools

from amaranth import Cat, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from tilewright.hw.request import delay
from tilewright.isa.config import Config

ELEMENT_BITS = 8
"""Bits of an activation or a weight, two's complement."""
ELEMENT = signed(ELEMENT_BITS)
PRODUCT_BITS = 2 * ELEMENT_BITS


def sum_bits(products: int) -> int:
    """Bits of a sum of that many products of two int8 values."""
    return PRODUCT_BITS + ceil_log2(products)


class ArrayRow(wiring.Component):
    """One row of processing elements.

    Each holds two weights, the factor and its shadow, in which the next tile's is put meanwhile. Factors and
    product have registers with nothing before the multiplier or behind it, such as the multiplier blocks of
    FPGAs bring along.

    Latency: 2 cycles from the activation of column 0 to its sum (product, sum); column c is c cycles later.
    Throughput: one activation a cycle.

    Args:
        cols: processing elements.
        row: place in the array; the width of the sums follows from it.

    Members:
        activation: In. Operand of column 0, a register of the sender.
        load: In. One bit a column: `weight` becomes the shadow weight.
        swap: In. One bit a column: the shadow weight becomes the factor, that of the operands from the next
            cycle on.
        weight: array of In. One a column.
        above: array of In. Sums of the row above, each in the cycle of this row's product; without row 0.
        sum: array of Out. Sums of this row and those above, registers.
    """

    def __init__(self, cols: int, row: int) -> None:
        self.cols = cols
        members = {
            "activation": In(ELEMENT),
            "load": In(cols),
            "swap": In(cols),
            "weight": In(ELEMENT).array(cols),
            "sum": Out(signed(sum_bits(row + 1))).array(cols),
        }
        self.first = row == 0
        if not self.first:
            members["above"] = In(signed(sum_bits(row))).array(cols)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        operand = self.activation
        for col in range(self.cols):
            self._elaborate_element(m, col, operand)
            if col + 1 < self.cols:
                operand = delay(m, operand, 1, name=f"operand_{col}", reset_less=True)
        return m

    def _elaborate_element(self, m: Module, col: int, operand: Value) -> None:
        shadow = Signal(ELEMENT, name=f"shadow_{col}", reset_less=True)
        factor = Signal(ELEMENT, name=f"factor_{col}", reset_less=True)
        product = Signal(signed(PRODUCT_BITS), name=f"product_{col}", reset_less=True)
        with m.If(self.load[col]):
            m.d.sync += shadow.eq(self.weight[col])
        with m.If(self.swap[col]):
            m.d.sync += factor.eq(shadow)
        m.d.sync += product.eq(operand * factor)
        m.d.sync += self.sum[col].eq(product if self.first else self.above[col] + product)


class SystolicArray(wiring.Component):
    """Multiplies a stream of activation vectors by a tile of `rows` x `cols` weights, double-buffered.

    Everything that belongs to one vector or weight row comes in one cycle; inside, row r is skewed by r and
    column c by c cycles, so that the weights of the next tile and the swap to it travel as one diagonal wave:
    a tile takes as many cycles as it has vectors, or `rows` if those are fewer.

    Latency: `latency` cycles from a vector to its result. Throughput: one vector and one weight row a cycle.

    Members:
        activation: array of In. A vector, int8, one element a row.
        swap: In. One cycle before the first vector of a tile: the weights loaded since the last swap are
            its own.
        weight: array of In. A row of weights, int8, one element a column.
        load: In. With row 0 of a tile, which the others follow cycle by cycle. Not before the swap to the
            tile before, and before the swap to this one: waves cannot overtake each other.
        result: array of Out. The sums of the products, one a column, registers.
    """

    def __init__(self, config: Config) -> None:
        self.rows, self.cols = config.rows, config.cols
        super().__init__(
            {
                "activation": In(ELEMENT).array(self.rows),
                "swap": In(1),
                "weight": In(ELEMENT).array(self.cols),
                "load": In(1),
                "result": Out(signed(sum_bits(self.rows))).array(self.cols),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a vector to its result."""
        return self.rows + self.cols + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows = self._elaborate_rows(m)
        self._connect_flags(m, rows)
        self._connect_weights(m, rows)
        for above, row in itertools.pairwise(rows):
            m.d.comb += [to.eq(come) for to, come in zip(row.above, above.sum, strict=True)]
        for col, total in enumerate(rows[-1].sum):
            aligned = delay(m, total, self.cols - 1 - col, name=f"deskew_{col}", reset_less=True)
            m.d.comb += self.result[col].eq(aligned)
        return m

    def _elaborate_rows(self, m: Module) -> list[ArrayRow]:
        rows = [ArrayRow(self.cols, row) for row in range(self.rows)]
        for place, row in enumerate(rows):
            m.submodules[f"row_{place}"] = row
            skewed = delay(m, self.activation[place], place + 1, name=f"skew_{place}", reset_less=True)
            m.d.comb += row.activation.eq(skewed)
        return rows

    def _connect_flags(self, m: Module, rows: list[ArrayRow]) -> None:
        """Element (r, c) takes the flags of its diagonal r + c: one register for all of it."""
        swap, load = [delay(m, self.swap, 1, name="swap")], [delay(m, self.load, 1, name="load")]
        for diagonal in range(1, self.rows + self.cols - 1):
            swap.append(delay(m, swap[-1], 1, name=f"swap_{diagonal}"))
            load.append(delay(m, load[-1], 1, name=f"load_{diagonal}"))
        for place, row in enumerate(rows):
            m.d.comb += row.swap.eq(Cat(*swap[place : place + self.cols]))
            m.d.comb += row.load.eq(Cat(*load[place : place + self.cols]))

    def _connect_weights(self, m: Module, rows: list[ArrayRow]) -> None:
        for col in range(self.cols):
            skewed = delay(m, self.weight[col], col + 1, name=f"weight_{col}", reset_less=True)
            for row in rows:
                m.d.comb += row.weight[col].eq(skewed)
