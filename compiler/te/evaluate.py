"""The meaning of tensor expressions: numpy over whole index grids."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import numpy as np

from tilewright.compiler.te.graph import stages
from tilewright.compiler.te.reduction import Axis, Reduction
from tilewright.compiler.te.tensor import Tensor
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.evaluate import Array
from tilewright.compiler.tir.evaluate import evaluate as evaluate_expr
from tilewright.compiler.tir.expr import BinaryOp

GRID_LIMIT = 1 << 21
"""Points that one evaluation takes; axes of a fold beyond it are run in Python."""

_COMBINE: dict[BinaryOp, np.ufunc] = {
    BinaryOp.ADD: np.add,
    BinaryOp.MIN: np.minimum,
    BinaryOp.MAX: np.maximum,
}


def evaluate(outputs: Sequence[Tensor], inputs: Mapping[Tensor, Array]) -> tuple[Array, ...]:
    """The values of tensors.

    Args:
        outputs: what to compute.
        inputs: an array for each placeholder behind the outputs, of its shape and dtype.

    Raises:
        TirError: if an array is missing or of another type, or an index leaves its tensor.
    """
    arrays: dict[str, Array] = {}
    with np.errstate(all="ignore"):
        for stage in stages(outputs):
            arrays[stage.name] = _given(stage, inputs) if stage.body is None else _computed(stage, arrays)
    return tuple(arrays[output.name] for output in outputs)


def _given(tensor: Tensor, inputs: Mapping[Tensor, Array]) -> Array:
    wanted = f"{tensor.dtype}{list(tensor.shape)}"
    if tensor not in inputs:
        raise TirError(f"inputs must hold an array for placeholder {tensor.name}, {wanted}")
    array = inputs[tensor]
    if array.shape != tensor.shape or array.dtype != tensor.dtype.numpy:
        raise TirError(f"input {tensor.name} must be {wanted}, not {array.dtype}{list(array.shape)}")
    return array


def _computed(tensor: Tensor, arrays: Mapping[str, Array]) -> Array:
    body = tensor.body
    if not isinstance(body, Reduction):
        points = _grid([(axis.name, n) for axis, n in zip(tensor.axes, tensor.shape, strict=True)])
        values = evaluate_expr(tensor.element, points, arrays)
        return np.array(np.broadcast_to(values, tensor.shape), tensor.dtype.numpy)
    result = np.full(tensor.shape, body.identity.value, tensor.dtype.numpy)
    for part in _parts(tensor, body, arrays):
        result = np.asarray(_COMBINE[body.op](result, part))
    return result


def _parts(tensor: Tensor, body: Reduction, arrays: Mapping[str, Array]) -> Iterator[Array]:
    """Folds over parts of the points, in order."""
    whole, outer = _split(tensor, body.axes)
    named = [*((axis.name, n) for axis, n in zip(tensor.axes, tensor.shape, strict=True))]
    grid = named + [(axis.name, axis.extent) for axis in whole]
    shape = [n for _, n in grid]
    axes = tuple(range(len(tensor.shape), len(shape)))
    for values in product(*(range(axis.extent) for axis in outer)):
        fixed = {axis.name: np.asarray(value) for axis, value in zip(outer, values, strict=True)}
        part = evaluate_expr(body.value, {**_grid(grid), **fixed}, arrays)
        yield _COMBINE[body.op].reduce(np.broadcast_to(part, shape), axis=axes, dtype=part.dtype)


def _split(tensor: Tensor, axes: tuple[Axis, ...]) -> tuple[tuple[Axis, ...], tuple[Axis, ...]]:
    """The inner axes that fit into one grid, and those before them."""
    points, inner = int(np.prod(tensor.shape, dtype=np.int64)), len(axes)
    while inner and points * axes[inner - 1].extent <= GRID_LIMIT:
        inner -= 1
        points *= axes[inner].extent
    return axes[inner:], axes[:inner]


def _grid(axes: Sequence[tuple[str, int]]) -> dict[str, Array]:
    """Each axis's values, along a dimension of its own."""
    ranges = {}
    for position, (name, extent) in enumerate(axes):
        shape = [extent if other == position else 1 for other in range(len(axes))]
        ranges[name] = np.arange(extent, dtype=np.int64).reshape(shape)
    return ranges
