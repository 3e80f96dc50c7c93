"""One step of a micro-kernel in LLVM: a word of `a` times a vector of `b`, added to a row's accumulators.

Sums lie in vectors of `lanes` lanes while a kernel runs, in a type of the kernel's own.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from llvmlite import ir

from tilewright.compiler.dtype import DType
from tilewright.compiler.targets.cpu.contraction import GROUP
from tilewright.compiler.targets.cpu.feature import DotInstruction, Features
from tilewright.compiler.targets.cpu.intrinsic import call_intrinsic, external
from tilewright.compiler.targets.cpu.type import register_type
from tilewright.compiler.targets.cpu.value import broadcast

_BYTE, _SHORT, _WORD = (ir.IntType(bits) for bits in (8, 16, 32))


class LaneKernel(ABC):
    """One step of the accumulation in a vector of accumulators.

    Members:
        lanes: sums in a vector.
        b_elements: elements of b that a step reads for a lane.
        element: the type of elements of b, and of a where `a_element` is no other one.
        accumulator_type, open_type: types of a vector of accumulators in memory, and while the kernel runs.
    """

    lanes: int
    b_elements: int
    element: ir.Type
    accumulator_type: ir.VectorType

    @property
    def a_element(self) -> ir.Type:
        """The type of elements of a."""
        return self.element

    @property
    def open_type(self) -> ir.VectorType:
        """As in memory, unless a kernel says otherwise."""
        return self.accumulator_type

    @abstractmethod
    def spread(self, builder: ir.IRBuilder, pointer: ir.Value) -> ir.Value:
        """The element or word of `a` at a pointer, in all lanes."""

    @abstractmethod
    def step(self, builder: ir.IRBuilder, total: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        """The sums with the products of a and b."""

    def opened(self, builder: ir.IRBuilder, total: ir.Value) -> ir.Value:
        """Load accumulators from memory as they are while the kernel runs."""
        return total

    def closed(self, builder: ir.IRBuilder, total: ir.Value) -> ir.Value:
        """Sums of the kernel as they are in memory."""
        return total


class FmaKernel(LaneKernel):
    """Products of floats; rounded once with their sum if `contract` allows it."""

    def __init__(self, dtype: DType, features: Features, contract: bool) -> None:
        self.element = register_type(dtype)
        self.lanes, self.b_elements = features.vector_bytes // dtype.size_bytes, 1
        self.accumulator_type = ir.VectorType(self.element, self.lanes)
        self._contract = contract

    def spread(self, builder: ir.IRBuilder, pointer: ir.Value) -> ir.Value:
        return broadcast(builder, builder.load(pointer, typ=self.element, align=4), self.lanes)

    def step(self, builder: ir.IRBuilder, total: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        if self._contract:
            return call_intrinsic(builder, "fmuladd", [a, b, total])
        return builder.fadd(total, builder.fmul(a, b))


class VnniKernel(LaneKernel):
    """vpdpbusd in registers of 16 or 8 lanes."""

    b_elements = GROUP
    element = _BYTE

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.accumulator_type = ir.VectorType(_WORD, lanes)

    def spread(self, builder: ir.IRBuilder, pointer: ir.Value) -> ir.Value:
        word = builder.load(pointer, typ=_WORD, align=1)
        bytes_type = ir.VectorType(_BYTE, GROUP * self.lanes)
        return builder.bitcast(broadcast(builder, word, self.lanes), bytes_type)

    def step(self, builder: ir.IRBuilder, total: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        name = f"llvm.x86.avx512.vpdpbusd.{32 * self.lanes}"
        types = [total.type, a.type, b.type]
        return builder.call(external(builder.module, name, total.type, types), [total, a, b])


class PairKernel(LaneKernel):
    """Operands of int16, products added in pairs; the two sums of a lane become one at the end.

    `b` is widened for each step, for all rows at once. `a` may have been widened before.
    """

    lanes = 4
    b_elements = GROUP
    element = _BYTE
    accumulator_type = ir.VectorType(_WORD, lanes)
    _shorts: ClassVar[ir.VectorType] = ir.VectorType(_SHORT, GROUP * lanes)
    _pairs: ClassVar[ir.VectorType] = ir.VectorType(_WORD, 2 * lanes)

    open_type = _pairs

    def __init__(self, has_pmaddwd: bool, is_widened: bool) -> None:
        self._has_pmaddwd = has_pmaddwd
        self._a_element = _SHORT if is_widened else _BYTE

    @property
    def a_element(self) -> ir.Type:
        return self._a_element

    def spread(self, builder: ir.IRBuilder, pointer: ir.Value) -> ir.Value:
        four = builder.load(pointer, typ=ir.VectorType(self._a_element, GROUP), align=1)
        order = [lane % GROUP for lane in range(GROUP * self.lanes)]
        spread = _shuffled(builder, four, order)
        return spread if self._a_element is _SHORT else builder.zext(spread, self._shorts)

    def step(self, builder: ir.IRBuilder, total: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        wide = builder.sext(b, self._shorts)
        if self._has_pmaddwd:
            types = [self._shorts, self._shorts]
            function = external(builder.module, "llvm.x86.avx2.pmadd.wd", self._pairs, types)
            return builder.add(total, builder.call(function, [a, wide]))
        words = ir.VectorType(_WORD, GROUP * self.lanes)
        products = builder.mul(builder.sext(a, words), builder.sext(wide, words))
        return builder.add(total, _neighbours_added(builder, products))

    def opened(self, builder: ir.IRBuilder, total: ir.Value) -> ir.Value:
        order = [lane // 2 if lane % 2 == 0 else self.lanes for lane in range(2 * self.lanes)]
        return builder.shuffle_vector(total, ir.Constant(total.type, None), _order(order))

    def closed(self, builder: ir.IRBuilder, total: ir.Value) -> ir.Value:
        return _neighbours_added(builder, total)


def lane_kernel(dtype: DType, features: Features, contract: bool, a: DType) -> LaneKernel:
    """The kernel for sums of a type, of elements `a` of a type, on a machine."""
    if dtype.is_float:
        return FmaKernel(dtype, features, contract)
    is_widened = a is DType.INT16
    if is_widened or features.pairs_shorts:
        return PairKernel(features.dot is not DotInstruction.PLAIN, is_widened)
    match features.dot:
        case DotInstruction.AMX | DotInstruction.AVX512_VNNI:
            return VnniKernel(16)
        case _:
            return VnniKernel(8)


def _neighbours_added(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    count = value.type.count
    even, odd = (_shuffled(builder, value, list(range(start, count, 2))) for start in (0, 1))
    return builder.add(even, odd)


def _shuffled(builder: ir.IRBuilder, value: ir.Value, order: list[int]) -> ir.Value:
    return builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), _order(order))


def _order(order: list[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(_WORD, len(order)), order)
