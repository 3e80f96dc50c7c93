"""Elements of tensors as a model file has them."""

import math
from typing import Any, cast

import numpy as np
import onnx

from tilewright.compiler.dtype import DType
from tilewright.compiler.frontend.error import UnsupportedError, require
from tilewright.compiler.ir.array import Array

_TYPES = {
    onnx.TensorProto.FLOAT: DType.FLOAT32,
    onnx.TensorProto.UINT8: DType.UINT8,
    onnx.TensorProto.INT8: DType.INT8,
    onnx.TensorProto.UINT16: DType.UINT16,
    onnx.TensorProto.INT16: DType.INT16,
    onnx.TensorProto.INT32: DType.INT32,
    onnx.TensorProto.INT64: DType.INT64,
    onnx.TensorProto.BOOL: DType.BOOL,
    onnx.TensorProto.FLOAT16: DType.FLOAT16,
    onnx.TensorProto.DOUBLE: DType.FLOAT64,
    onnx.TensorProto.UINT32: DType.UINT32,
    onnx.TensorProto.UINT64: DType.UINT64,
}
_MOST_BYTES = 1 << 36
"""Of a constant: more is a mistake in its shape."""


def type_name(number: int) -> str:
    """The name of an element type, for messages."""
    try:
        return str(onnx.TensorProto.DataType.Name(number)).lower()
    except ValueError:
        return f"number {number}"


def port_dtype(number: int, what: str) -> DType:
    """The element type of a tensor that enters or leaves a model.

    Raises:
        UnsupportedError: for one that the IR does not have.
    """
    found = _TYPES.get(cast(onnx.TensorProto.DataType, number))
    if found is None:
        names = ", ".join(_TYPES.values())
        raise UnsupportedError(f"{what} must be of {names}, not {type_name(number)}")
    return found


def inner_dtype(number: int, what: str) -> DType:
    """The element type inside of a model: float16 is computed in float32.

    Raises:
        UnsupportedError: for one that the IR does not have.
    """
    return widened(port_dtype(number, what))


def widened(dtype: DType) -> DType:
    """float32 for float16; others as they are."""
    return DType.FLOAT32 if dtype is DType.FLOAT16 else dtype


def read_tensor(tensor: Any) -> Array:
    """The array of a TensorProto whose data is in it; float16 becomes float32.

    Raises:
        UnsupportedError: if its data do not fit its shape, or the element type is not supported.
    """
    what = f"constant {tensor.name!r}"
    dtype = port_dtype(tensor.data_type, what)
    dims = tuple(tensor.dims)
    require(all(size >= 0 for size in dims), f"{what} must have sizes from 0, not {list(dims)}")
    expected = math.prod(dims) * dtype.size_bytes
    require(expected <= _MOST_BYTES, f"{what} must be smaller than {expected} bytes")
    require(not tensor.HasField("segment"), f"{what} must be whole, not a segment")
    if tensor.HasField("raw_data"):
        found = len(tensor.raw_data)
        require(found == expected, f"{what} must have {expected} bytes for its shape, not {found}")
    try:
        array = np.asarray(onnx.numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise UnsupportedError(f"{what} must have data that fit its shape {list(dims)}") from error
    require(array.shape == dims, f"{what} must have {math.prod(dims)} elements, not {array.size}")
    return array.astype(widened(dtype).numpy, copy=False)


def read_sparse(sparse: Any) -> Array:
    """The dense array of a SparseTensorProto.

    Raises:
        UnsupportedError: if indices and values do not fit.
    """
    what = f"sparse constant {sparse.values.name!r}"
    values, indices = read_tensor(sparse.values), read_tensor(sparse.indices)
    dims = tuple(sparse.dims)
    require(all(size >= 0 for size in dims), f"{what} must have sizes from 0, not {list(dims)}")
    elements = math.prod(dims)
    require(elements * values.itemsize <= _MOST_BYTES, f"{what} must be smaller than {elements} elements")
    require(values.ndim == 1, f"{what} must have values of rank 1, not {values.ndim}")
    if indices.ndim == 2:
        fits = indices.shape == (len(values), len(dims))
        require(fits, f"{what} must have an index of {len(dims)} numbers for each value")
        inside = ((indices >= 0) & (indices < np.array(dims))).all()
        require(bool(inside), f"{what} must have indices inside of {list(dims)}")
        indices = np.ravel_multi_index(tuple(indices.T), dims) if len(indices) else indices[:, 0]
    fits = indices.shape == values.shape and bool(((indices >= 0) & (indices < elements)).all())
    require(fits, f"{what} must have an index inside of {list(dims)} for each value")
    dense = np.zeros(elements, values.dtype)
    dense[indices] = values
    return dense.reshape(dims)
