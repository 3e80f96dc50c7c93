"""Expressions of loop programs as LLVM values, one or many lanes at a time.

There are no branches: both sides of a selection are computed, unless a loop that is unrolled decides it, and
a side's elements are read only where that side is taken. A mask says where, as one truth value or one a lane.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from llvmlite import ir

from tilewright.compiler.dtype import INDEX, DType
from tilewright.compiler.targets.cpu.arithmetic import convert, fused, operate
from tilewright.compiler.targets.cpu.element import call_function, shift_right
from tilewright.compiler.targets.cpu.function_context import FunctionContext
from tilewright.compiler.targets.cpu.intrinsic import any_of, masked_load
from tilewright.compiler.targets.cpu.type import INDEX_TYPE, lanes_of, memory_type, number, register_type
from tilewright.compiler.targets.cpu.value import LaneValue, broadcast, index, vector
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import (
    Binary,
    BinaryOp,
    BufferLoad,
    Cast,
    Const,
    ElementCall,
    ElementFunction,
    Expr,
    Select,
    Var,
)
from tilewright.compiler.tir.simplify import simplify
from tilewright.compiler.tir.walk import constant, substitute, variables

Mask: TypeAlias = ir.Value | None


@dataclass(frozen=True)
class ExpressionEmitter:
    """Writes expressions into a function context.

    Members:
        context: of the function that is written.
        contract: whether a product and a sum of floats may be rounded once.
    """

    context: FunctionContext
    contract: bool

    def value(self, expr: Expr, mask: Mask = None) -> LaneValue:
        """The value of an expression; it is used where the mask holds."""
        match expr:
            case Const(value=known, type=dtype):
                return LaneValue(ir.Constant(register_type(dtype), number(known, dtype)), dtype)
            case Var(name=name):
                return self.context.variables[name]
            case Binary(op=op, a=a, b=b):
                return self._binary(op, self.value(a, mask), self.value(b, mask))
            case Select():
                return self._select(expr, mask)
            case Cast(type=dtype, value=inner):
                return self._cast(dtype, self.value(inner, mask))
            case BufferLoad():
                return self._load(expr, mask)
            case ElementCall(function=function, arguments=arguments, type=dtype):
                parts = self._aligned([self.value(argument, mask) for argument in arguments])
                if function is ElementFunction.SHIFT_RIGHT:
                    return _value(shift_right(self.context.builder, dtype.is_signed, *parts), dtype)
                return _value(call_function(self.context.builder, function, parts), dtype)
            case _:
                raise TypeError(f"expr must be an expression of loop programs, not {expr!r}")

    def scalar(self, expr: Expr) -> ir.Value:
        """The value of an index that is the same in all lanes."""
        value = self.value(expr)
        assert value.is_uniform
        return value.ir

    def store(self, buffer: Buffer, indices: Sequence[Expr], value: LaneValue) -> None:
        """Assign the elements of all lanes, the first lane first."""
        builder, lanes = self.context.builder, self.context.lanes
        offset = self._offset(buffer, indices, None)
        lanes = 1 if offset.is_uniform else lanes
        element = vector(builder, value, lanes)
        if buffer.dtype is DType.BOOL:
            element = builder.zext(element, memory_type(DType.BOOL, lanes))
        if lanes == 1 or offset.stride == 1:
            builder.store(element, self._pointer(buffer, offset.ir), align=buffer.dtype.size_bytes)
            return
        offsets = vector(builder, offset, lanes)
        for lane in range(lanes):
            at = ir.Constant(ir.IntType(32), lane)
            pointer = self._pointer(buffer, builder.extract_element(offsets, at))
            builder.store(builder.extract_element(element, at), pointer, align=buffer.dtype.size_bytes)

    def _aligned(self, values: Sequence[LaneValue]) -> list[ir.Value]:
        """The operands as scalars if all are the same in all lanes, else as vectors."""
        lanes = 1 if all(value.is_uniform for value in values) else self.context.lanes
        return [vector(self.context.builder, value, lanes) for value in values]

    def _binary(self, op: BinaryOp, a: LaneValue, b: LaneValue) -> LaneValue:
        spaced = self._spaced(op, a, b) if a.dtype is INDEX else None
        if spaced is not None:
            return spaced
        builder, (x, y) = self.context.builder, self._aligned([a, b])
        result = fused(builder, op, x, y) if self.contract and a.dtype.is_float else None
        if result is None:
            result = operate(builder, op, a.dtype, x, y)
        return _value(result, DType.BOOL if op.is_comparison else a.dtype)

    def _spaced(self, op: BinaryOp, a: LaneValue, b: LaneValue) -> LaneValue | None:
        """A sum, difference or multiple of evenly spaced indices, which is one."""
        if a.stride is None or b.stride is None or (a.is_uniform and b.is_uniform):
            return None
        builder = self.context.builder
        if op is BinaryOp.ADD:
            return LaneValue(builder.add(a.ir, b.ir), INDEX, a.stride + b.stride)
        if op is BinaryOp.SUB:
            return LaneValue(builder.sub(a.ir, b.ir), INDEX, a.stride - b.stride)
        for factor, other in ((a, b), (b, a)):
            if op is BinaryOp.MUL and factor.is_uniform and isinstance(factor.ir, ir.Constant):
                assert other.stride is not None
                return LaneValue(builder.mul(a.ir, b.ir), INDEX, other.stride * factor.ir.constant)
        return None

    def _select(self, expr: Select, mask: Mask) -> LaneValue:
        builder = self.context.builder
        known = self._known(expr.condition)
        if known is not None:
            return self.value(expr.then if known else expr.otherwise, mask)
        condition = self.value(expr.condition, mask)
        then = self.value(expr.then, self._both(mask, condition.ir))
        otherwise = self.value(expr.otherwise, self._both(mask, builder.not_(condition.ir)))
        if condition.is_uniform:
            parts = [condition.ir, *self._aligned([then, otherwise])]
        else:
            parts = self._aligned([condition, then, otherwise])
        return _value(builder.select(*parts), expr.dtype)

    def _known(self, condition: Expr) -> bool | None:
        """Whether a condition on loops that are unrolled holds; None for another one."""
        numbers = {}
        for name in variables(condition):
            value = self.context.variables[name]
            if not (value.is_uniform and isinstance(value.ir, ir.Constant)):
                return None
            numbers[name] = Const(value.ir.constant, value.dtype)
        found = constant(simplify(substitute(condition, numbers))) if numbers else None
        return None if found is None else bool(found)

    def _both(self, mask: Mask, condition: ir.Value) -> ir.Value:
        if mask is None:
            return condition
        lanes = max(lanes_of(mask), lanes_of(condition))
        parts = [part if lanes_of(part) == lanes else self._spread(part) for part in (mask, condition)]
        return self.context.builder.and_(*parts)

    def _spread(self, scalar: ir.Value) -> ir.Value:
        return broadcast(self.context.builder, scalar, self.context.lanes)

    def _cast(self, dtype: DType, value: LaneValue) -> LaneValue:
        (part,) = self._aligned([value])
        return _value(convert(self.context.builder, part, value.dtype, dtype), dtype)

    def _load(self, expr: BufferLoad, mask: Mask) -> LaneValue:
        offset = self._offset(expr.buffer, expr.indices, mask)
        if offset.is_uniform:
            element = self._load_one(expr.buffer, offset.ir, mask)
        elif offset.stride == 1:
            element = self._load_neighbours(expr.buffer, offset.ir, mask)
        else:
            element = self._load_each(expr.buffer, offset, mask)
        if expr.buffer.dtype is DType.BOOL:
            element = convert(self.context.builder, element, DType.UINT8, DType.BOOL)
        return _value(element, expr.buffer.dtype)

    def _load_one(self, buffer: Buffer, offset: ir.Value, mask: Mask) -> ir.Value:
        """One element; the first of the buffer where no lane uses it."""
        builder = self.context.builder
        if mask is not None:
            offset = builder.select(any_of(builder, mask), offset, ir.Constant(INDEX_TYPE, 0))
        pointer = self._pointer(buffer, offset)
        return builder.load(pointer, typ=memory_type(buffer.dtype), align=buffer.dtype.size_bytes)

    def _load_neighbours(self, buffer: Buffer, offset: ir.Value, mask: Mask) -> ir.Value:
        builder, lanes, align = self.context.builder, self.context.lanes, buffer.dtype.size_bytes
        of = memory_type(buffer.dtype, lanes)
        if mask is None:
            return builder.load(self._pointer(buffer, offset), typ=of, align=align)
        # Where the mask does not hold, the address may lie anywhere.
        pointer = self._pointer(buffer, offset, inside=False)
        spread = mask if lanes_of(mask) == lanes else self._spread(mask)
        return masked_load(builder, pointer, spread, ir.Constant(of, None), align)

    def _load_each(self, buffer: Buffer, offset: LaneValue, mask: Mask) -> ir.Value:
        builder, lanes = self.context.builder, self.context.lanes
        offsets = vector(builder, offset, lanes)
        if mask is not None:
            spread = mask if lanes_of(mask) == lanes else self._spread(mask)
            offsets = builder.select(spread, offsets, ir.Constant(offsets.type, None))
        result = ir.Constant(memory_type(buffer.dtype, lanes), ir.Undefined)
        for lane in range(lanes):
            at = ir.Constant(ir.IntType(32), lane)
            element = self._load_one(buffer, builder.extract_element(offsets, at), None)
            result = builder.insert_element(result, element, at)
        return result

    def _pointer(self, buffer: Buffer, offset: ir.Value, inside: bool = True) -> ir.Value:
        base, of = self.context.pointers[buffer.name], memory_type(buffer.dtype)
        return self.context.builder.gep(base, [offset], inbounds=inside, source_etype=of)

    def _offset(self, buffer: Buffer, indices: Sequence[Expr], mask: Mask) -> LaneValue:
        """The place of an element, in elements."""
        result = index(0)
        for position, stride in zip(indices, self.context.strides[buffer.name], strict=True):
            distance = self._binary(BinaryOp.MUL, self.value(position, mask), index(stride))
            result = self._binary(BinaryOp.ADD, result, distance)
        return result


def _value(result: ir.Value, dtype: DType) -> LaneValue:
    return LaneValue(result, dtype, 0 if lanes_of(result) == 1 else None)
