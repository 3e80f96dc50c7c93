"""The meaning of tensor expressions: numpy over whole index grids."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import numpy as np

from tilewright.compiler.te.extern import ExternOp
from tilewright.compiler.te.graph import stages
from tilewright.compiler.te.irregular.hybrid import HybridOp
from tilewright.compiler.te.reduction import ReduceAxis, Reduction
from tilewright.compiler.te.scan import ScanOp
from tilewright.compiler.te.stage import Stage, Tensor
from tilewright.compiler.te.tensor import ComputeOp
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.evaluate import Array
from tilewright.compiler.tir.evaluate import evaluate as evaluate_expr
from tilewright.compiler.tir.expr import BinaryOp

GRID_LIMIT = 1 << 21
"""Points that one evaluation takes; axes of a reduction beyond it are run in Python."""

Arrays = dict[str, Array]
Points = dict[str, Array]

_COMBINE: dict[BinaryOp, np.ufunc] = {
    BinaryOp.ADD: np.add,
    BinaryOp.MUL: np.multiply,
    BinaryOp.MIN: np.minimum,
    BinaryOp.MAX: np.maximum,
}


def evaluate(outputs: Sequence[Tensor], inputs: Mapping[Tensor, Array]) -> tuple[Array, ...]:
    """The values of tensors.

    Args:
        outputs: the tensors to compute.
        inputs: an array for each placeholder behind the outputs, of its shape and dtype.

    Raises:
        TirError: if an array is missing or of another type, or an index leaves its tensor.
    """
    arrays: Arrays = {}
    with np.errstate(all="ignore"):
        for stage in stages(outputs):
            arrays.update(_results(stage, inputs, arrays))
    return tuple(arrays[output.name] for output in outputs)


def _results(stage: Stage, inputs: Mapping[Tensor, Array], arrays: Arrays) -> Arrays:
    match stage:
        case ComputeOp():
            found = _computed(stage, _named_axes(stage), arrays)
        case ScanOp():
            found = _scanned(stage, arrays)
        case ExternOp():
            found = _filled(stage, arrays)
        case HybridOp():
            found = _called(stage, arrays)
        case _:
            found = tuple(_given(tensor, inputs) for tensor in stage.tensors)
    return dict(zip((buffer.name for buffer in stage.buffers), found, strict=True))


def _given(tensor: Tensor, inputs: Mapping[Tensor, Array]) -> Array:
    wanted = f"{tensor.dtype}{list(tensor.shape)}"
    if tensor not in inputs:
        raise TirError(f"inputs must hold an array for placeholder {tensor.name}, {wanted}")
    array = inputs[tensor]
    if array.shape != tensor.shape or array.dtype != tensor.dtype.numpy:
        raise TirError(f"input {tensor.name} must be {wanted}, not {array.dtype}{list(array.shape)}")
    return array


def _filled(stage: ExternOp, arrays: Arrays) -> tuple[Array, ...]:
    result = tuple(np.zeros(tensor.shape, tensor.dtype.numpy) for tensor in stage.tensors)
    stage.function(*(arrays[tensor.name].copy() for tensor in stage.sources), *result)
    return result


def _called(stage: HybridOp, arrays: Arrays) -> tuple[Array, ...]:
    """The Python function on arrays."""
    given = (arrays[a.name].copy() if isinstance(a, Tensor) else a for a in stage.arguments)
    result = stage.function(*given)
    return result if isinstance(result, tuple) else (np.asarray(result),)


def _scanned(stage: ScanOp, arrays: Arrays) -> tuple[Array, ...]:
    """Step after step: what runs at each t is computed at that t alone."""
    inside = dict(arrays)
    tensors = (*(tensor for inner in stage.inner for tensor in inner.tensors), *stage.states)
    inside.update({tensor.name: np.zeros(tensor.shape, tensor.dtype.numpy) for tensor in tensors})
    for state, init in zip(stage.states, stage.inits, strict=True):
        inside[state.name][: stage.first] = arrays[init.name]
    for t in range(stage.first, stage.first + stage.steps):
        for inner in stage.inner:
            (_, *axes), time = _named_axes(inner), inner.axes[0].name
            values = _computed(inner, axes, inside, {time: np.asarray(t)})
            for tensor, value in zip(inner.tensors, values, strict=True):
                inside[tensor.name][t] = value
        for state, update in zip(stage.states, stage.updates, strict=True):
            inside[state.name][t] = inside[update.name][t]
    return tuple(inside[state.name] for state in stage.states)


_Axes = list[tuple[str, int]]


def _named_axes(stage: ComputeOp) -> _Axes:
    return [(axis.name, extent) for axis, extent in zip(stage.axes, stage.shape, strict=True)]


def _computed(
    stage: ComputeOp, axes: _Axes, arrays: Arrays, fixed: Mapping[str, Array] | None = None
) -> tuple[Array, ...]:
    """The elements at all points of the axes, where others are fixed."""
    shape = tuple(extent for _, extent in axes)
    points = {**_grid(axes), **(fixed or {})}
    if stage.reduction is None:
        return tuple(_whole(evaluate_expr(value, points, arrays), shape) for value in stage.values)
    result = tuple(_whole(evaluate_expr(init, points, arrays), shape) for init in stage.reduction.init)
    if stage.reduction.op is None:
        return _reduced(stage.reduction, result, points, arrays)
    for part in _parts(stage.reduction, axes, arrays, fixed or {}):
        result = (np.asarray(_COMBINE[stage.reduction.op](result[0], part)),)
    return result


def _whole(values: Array, shape: tuple[int, ...]) -> Array:
    return np.array(np.broadcast_to(values, shape))


def _reduced(
    reduction: Reduction, result: tuple[Array, ...], points: Points, arrays: Arrays
) -> tuple[Array, ...]:
    """The reduction of a reducer, one point of its axes after the other."""
    shape = result[0].shape
    for values in product(*(range(axis.extent) for axis in reduction.axes)):
        at = {axis.name: np.asarray(value) for axis, value in zip(reduction.axes, values, strict=True)}
        right = [evaluate_expr(value, {**points, **at}, arrays) for value in reduction.values]
        names = [parameter.name for parameter in (*reduction.reducer.left, *reduction.reducer.right)]
        sides = dict(zip(names, (*result, *right), strict=True))
        result = tuple(
            _whole(evaluate_expr(expr, sides, arrays), shape) for expr in reduction.reducer.combined
        )
    return result


def _parts(reduction: Reduction, named: _Axes, arrays: Arrays, fixed: Mapping[str, Array]) -> Iterator[Array]:
    """Reduces over parts of the points, in order."""
    assert reduction.op is not None
    whole, outer = _split(int(np.prod([n for _, n in named], dtype=np.int64)), reduction.axes)
    grid = named + [(axis.name, axis.extent) for axis in whole]
    shape = [n for _, n in grid]
    axes = tuple(range(len(named), len(shape)))
    for values in product(*(range(axis.extent) for axis in outer)):
        at = {axis.name: np.asarray(value) for axis, value in zip(outer, values, strict=True)}
        part = evaluate_expr(reduction.values[0], {**_grid(grid), **fixed, **at}, arrays)
        yield _COMBINE[reduction.op].reduce(np.broadcast_to(part, shape), axis=axes, dtype=part.dtype)


def _split(
    points: int, axes: tuple[ReduceAxis, ...]
) -> tuple[tuple[ReduceAxis, ...], tuple[ReduceAxis, ...]]:
    """The inner axes that fit into one grid, and those before them."""
    inner = len(axes)
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
