"""Element types in LLVM: in registers, alone or as lanes of a vector, and in memory."""

from typing import Any

import numpy as np
from llvmlite import ir

from tilewright.compiler.dtype import INDEX, DType
from tilewright.compiler.targets.cpu.error import CpuError

POINTER = ir.PointerType()
_ELEMENTS = {
    DType.BOOL: ir.IntType(1),
    DType.INT8: ir.IntType(8),
    DType.UINT8: ir.IntType(8),
    DType.INT16: ir.IntType(16),
    DType.UINT16: ir.IntType(16),
    DType.INT32: ir.IntType(32),
    DType.UINT32: ir.IntType(32),
    DType.INT64: ir.IntType(64),
    DType.UINT64: ir.IntType(64),
    # Its bits: not every machine has instructions for more (`half.py`).
    DType.FLOAT16: ir.IntType(16),
    DType.FLOAT32: ir.FloatType(),
    DType.FLOAT64: ir.DoubleType(),
}
INDEX_TYPE = _ELEMENTS[INDEX]


def register_type(dtype: DType, lanes: int = 1) -> ir.Type:
    """The LLVM type of values in registers; one lane is a scalar."""
    return with_lanes(_element(dtype), lanes)


def memory_type(dtype: DType, lanes: int = 1) -> ir.Type:
    """The LLVM type of elements in buffers: as in registers, but a truth value takes a byte."""
    return with_lanes(_element(DType.UINT8 if dtype is DType.BOOL else dtype), lanes)


def _element(dtype: DType) -> ir.Type:
    return _ELEMENTS[dtype]


def with_lanes(element: ir.Type, lanes: int) -> ir.Type:
    """A vector of that many, or the element itself."""
    return element if lanes == 1 else ir.VectorType(element, lanes)


def lanes_of(value: ir.Value) -> int:
    """The number of elements of a value."""
    return value.type.count if isinstance(value.type, ir.VectorType) else 1


def element_of(value: ir.Value) -> ir.Type:
    """The type of one lane."""
    return value.type.element if isinstance(value.type, ir.VectorType) else value.type


def like(value: ir.Value, number: float) -> ir.Constant:
    """A number in the type of a value, in all of its lanes."""
    if isinstance(value.type, ir.VectorType):
        return ir.Constant(value.type, [number] * value.type.count)
    return ir.Constant(value.type, number)


def number(value: int | float, dtype: DType) -> Any:
    """A number as Python has it, after rounding to the type.

    Raises:
        CpuError: if the type cannot hold it.
    """
    try:
        rounded = np.asarray(value, dtype.numpy)
        return (rounded.view(np.uint16) if dtype is DType.FLOAT16 else rounded).item()
    except OverflowError:
        raise CpuError(f"the constant {value} must fit {dtype}: use a wider type") from None
