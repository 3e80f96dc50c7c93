"""Equations by plain functions: one a primitive, the builder first.

Broadcasting as in numpy, promotion of Python numbers, axes counted from the end and the folding of what is
known stand here once. Where it cannot be decided whether two symbolic sizes are equal, they are assumed to
be.
"""

from collections.abc import Callable, Sequence

import numpy as np

from tilewright.compiler.dtype import INDEX
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.error import OperatorError
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import expect
from tilewright.compiler.ir.size import product
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.emit_map import Number as Number
from tilewright.compiler.ops.emit_map import Operand as Operand
from tilewright.compiler.ops.emit_map import abs as abs
from tilewright.compiler.ops.emit_map import acos as acos
from tilewright.compiler.ops.emit_map import add as add
from tilewright.compiler.ops.emit_map import apply as apply
from tilewright.compiler.ops.emit_map import asin as asin
from tilewright.compiler.ops.emit_map import assume as assume
from tilewright.compiler.ops.emit_map import atan as atan
from tilewright.compiler.ops.emit_map import broadcast as broadcast
from tilewright.compiler.ops.emit_map import broadcast_to as broadcast_to
from tilewright.compiler.ops.emit_map import cast as cast
from tilewright.compiler.ops.emit_map import ceil as ceil
from tilewright.compiler.ops.emit_map import cos as cos
from tilewright.compiler.ops.emit_map import cosh as cosh
from tilewright.compiler.ops.emit_map import div as div
from tilewright.compiler.ops.emit_map import equal as equal
from tilewright.compiler.ops.emit_map import erf as erf
from tilewright.compiler.ops.emit_map import exp as exp
from tilewright.compiler.ops.emit_map import floor as floor
from tilewright.compiler.ops.emit_map import fmod as fmod
from tilewright.compiler.ops.emit_map import fold as fold
from tilewright.compiler.ops.emit_map import greater as greater
from tilewright.compiler.ops.emit_map import greater_equal as greater_equal
from tilewright.compiler.ops.emit_map import isinf as isinf
from tilewright.compiler.ops.emit_map import isnan as isnan
from tilewright.compiler.ops.emit_map import joint_shape as joint_shape
from tilewright.compiler.ops.emit_map import less as less
from tilewright.compiler.ops.emit_map import less_equal as less_equal
from tilewright.compiler.ops.emit_map import log as log
from tilewright.compiler.ops.emit_map import logical_and as logical_and
from tilewright.compiler.ops.emit_map import logical_not as logical_not
from tilewright.compiler.ops.emit_map import logical_or as logical_or
from tilewright.compiler.ops.emit_map import logical_xor as logical_xor
from tilewright.compiler.ops.emit_map import maximum as maximum
from tilewright.compiler.ops.emit_map import minimum as minimum
from tilewright.compiler.ops.emit_map import mod as mod
from tilewright.compiler.ops.emit_map import mul as mul
from tilewright.compiler.ops.emit_map import neg as neg
from tilewright.compiler.ops.emit_map import pow as pow
from tilewright.compiler.ops.emit_map import promote as promote
from tilewright.compiler.ops.emit_map import reciprocal as reciprocal
from tilewright.compiler.ops.emit_map import relu as relu
from tilewright.compiler.ops.emit_map import repeat as repeat
from tilewright.compiler.ops.emit_map import round as round
from tilewright.compiler.ops.emit_map import select as select
from tilewright.compiler.ops.emit_map import shift_left as shift_left
from tilewright.compiler.ops.emit_map import shift_right as shift_right
from tilewright.compiler.ops.emit_map import sigmoid as sigmoid
from tilewright.compiler.ops.emit_map import sign as sign
from tilewright.compiler.ops.emit_map import sin as sin
from tilewright.compiler.ops.emit_map import sinh as sinh
from tilewright.compiler.ops.emit_map import sqrt as sqrt
from tilewright.compiler.ops.emit_map import square as square
from tilewright.compiler.ops.emit_map import sub as sub
from tilewright.compiler.ops.emit_map import tan as tan
from tilewright.compiler.ops.emit_map import tanh as tanh
from tilewright.compiler.ops.emit_move import axes_of as axes_of
from tilewright.compiler.ops.emit_move import axis_of as axis_of
from tilewright.compiler.ops.emit_move import concat as concat
from tilewright.compiler.ops.emit_move import dilate as dilate
from tilewright.compiler.ops.emit_move import expand_dims as expand_dims
from tilewright.compiler.ops.emit_move import extent as extent
from tilewright.compiler.ops.emit_move import full as full
from tilewright.compiler.ops.emit_move import iota as iota
from tilewright.compiler.ops.emit_move import pad as pad
from tilewright.compiler.ops.emit_move import pad_or_cut as pad_or_cut
from tilewright.compiler.ops.emit_move import reshape as reshape
from tilewright.compiler.ops.emit_move import slice as slice
from tilewright.compiler.ops.emit_move import slice_axis as slice_axis
from tilewright.compiler.ops.emit_move import split as split
from tilewright.compiler.ops.emit_move import squeeze as squeeze
from tilewright.compiler.ops.emit_move import stack as stack
from tilewright.compiler.ops.emit_move import transpose as transpose
from tilewright.compiler.ops.emit_move import zeros_like as zeros_like
from tilewright.compiler.ops.primitive.argsort import ArgSort
from tilewright.compiler.ops.primitive.control import If, Scan, While, joined
from tilewright.compiler.ops.primitive.conv import Conv
from tilewright.compiler.ops.primitive.cumulative import CumulativeSum
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.ops.primitive.gather import Gather, ScatterAdd
from tilewright.compiler.ops.primitive.gather_elements import GatherElements, ScatterElements
from tilewright.compiler.ops.primitive.nonzero import NonZero
from tilewright.compiler.ops.primitive.reduce import Reduce
from tilewright.compiler.ops.primitive.window import ReduceWindow

# --- by indices ----------------------------------------------------------------------------------------


def gather(b: Builder, x: Value, indices: Value, axis: int) -> Value:
    """Rows of x along an axis, as numpy.take; indices become int64."""
    return fold(b, Gather(axis_of(axis, x.type.rank)), x, cast(b, indices, INDEX))


def scatter_add(b: Builder, x: Value, indices: Value, updates: Value, axis: int) -> Value:
    """x with updates added to its rows along an axis; indices may repeat."""
    return b.emit(ScatterAdd(axis_of(axis, x.type.rank)), x, cast(b, indices, INDEX), updates)


def gather_elements(b: Builder, x: Value, indices: Value, axis: int) -> Value:
    """Elements of x one by one, as numpy.take_along_axis."""
    return b.emit(GatherElements(axis_of(axis, x.type.rank)), x, cast(b, indices, INDEX))


def scatter_elements(
    b: Builder, x: Value, indices: Value, updates: Value, axis: int, reduction: str = "none"
) -> Value:
    """x with updates one by one; reduction is none, add, mul, min or max."""
    operator = ScatterElements(axis_of(axis, x.type.rank), reduction)
    return b.emit(operator, x, cast(b, indices, INDEX), updates)


def gather_nd(b: Builder, x: Value, indices: Value, batch: int = 0) -> Value:
    """Parts of x by coordinates, which lie along the last axis of the indices.

    Args:
        b: where equations go.
        x: of shape (batch.., sizes.., rest..).
        indices: of shape (batch.., places.., coordinates), a coordinate for each of the sizes.
        batch: leading axes that go along.
    """
    flat, count = _flat_indices(b, x, indices, batch)
    rest = x.type.shape[count:]
    rows = reshape(b, x, (product(x.type.shape[:count]), *rest))
    return gather(b, rows, flat, 0)


def scatter_nd(b: Builder, x: Value, indices: Value, updates: Value, reduction: str = "none") -> Value:
    """x with updates at coordinates, which lie along the last axis of the indices; as `gather_nd` reads."""
    flat, count = _flat_indices(b, x, indices, 0)
    rows, columns = product(x.type.shape[:count]), product(x.type.shape[count:])
    places = product(flat.type.shape)
    target = reshape(b, x, (rows, columns))
    spread = repeat(b, reshape(b, flat, (places,)), (places, columns), (0,))
    given = reshape(b, updates, (places, columns))
    return reshape(b, scatter_elements(b, target, spread, given, 0, reduction), x.type.shape)


def _flat_indices(b: Builder, x: Value, indices: Value, batch: int) -> tuple[Value, int]:
    """Indices into the leading axes of x as one axis, and how many axes these are."""
    indices = cast(b, indices, INDEX)
    places, coordinates = indices.type.shape[:-1], indices.type.shape[-1]
    if not isinstance(coordinates, int):
        raise OperatorError(f"the number of coordinates must be known, not {coordinates} of {indices.type}")
    count = batch + coordinates
    expect(count <= x.type.rank, f"indices must have at most {x.type.rank - batch} coordinates for {x.type}")
    flat: Operand = 0
    for axis in range(count):
        size = extent(b, x, axis)
        if axis < batch:
            index = iota(b, INDEX, places, axis)
        else:
            index = slice_axis(b, indices, -1, axis - batch, axis - batch + 1)
            index = reshape(b, index, places)
            index = select(b, less(b, index, 0), add(b, index, size), index)
        flat = index if axis == 0 else add(b, mul(b, flat, size), index)
    return (flat if isinstance(flat, Value) else full(b, 0, INDEX, places)), count


def nonzero(b: Builder, x: Value, length: str = "nonzero") -> Value:
    """Indices of the elements that are not 0: int64, (rank, a new size)."""
    return b.emit(NonZero(b.size_name(length)), x)


# --- reduced -------------------------------------------------------------------------------------------


def _reduce(b: Builder, function: str, x: Value, axes: Sequence[int] | int | None, keep: bool) -> Value:
    rank = x.type.rank
    given = tuple(range(rank)) if axes is None else (axes,) if isinstance(axes, int) else tuple(axes)
    places = tuple(sorted(axes_of(given, rank)))
    result = b.emit(Reduce(function, places), x) if places else x
    return expand_dims(b, result, places) if keep and places else result


def reduce_sum(b: Builder, x: Value, axes: Sequence[int] | int | None, keep: bool = False) -> Value:
    """The sum over axes (None: all), which are dropped or kept as 1."""
    return _reduce(b, "sum", x, axes, keep)


def reduce_prod(b: Builder, x: Value, axes: Sequence[int] | int | None, keep: bool = False) -> Value:
    """The product over axes (None: all), which are dropped or kept as 1."""
    return _reduce(b, "prod", x, axes, keep)


def reduce_max(b: Builder, x: Value, axes: Sequence[int] | int | None, keep: bool = False) -> Value:
    """The maximum over axes (None: all), which are dropped or kept as 1."""
    return _reduce(b, "max", x, axes, keep)


def reduce_min(b: Builder, x: Value, axes: Sequence[int] | int | None, keep: bool = False) -> Value:
    """The minimum over axes (None: all), which are dropped or kept as 1."""
    return _reduce(b, "min", x, axes, keep)


def mean(b: Builder, x: Value, axes: Sequence[int] | int | None, keep: bool = False) -> Value:
    """The mean over axes (None: all), which are dropped or kept as 1."""
    rank = x.type.rank
    given = tuple(range(rank)) if axes is None else (axes,) if isinstance(axes, int) else tuple(axes)
    count = b.constant(1, INDEX)
    for axis in axes_of(given, rank):
        count = mul(b, count, extent(b, x, axis))
    return div(b, reduce_sum(b, x, given, keep), cast(b, count, x.type.dtype))


def cumulative_sum(b: Builder, x: Value, axis: int, exclusive: bool = False, reverse: bool = False) -> Value:
    """The sum of all elements so far along an axis."""
    return b.emit(CumulativeSum(axis_of(axis, x.type.rank), exclusive, reverse), x)


def argsort(b: Builder, x: Value, axis: int, descending: bool = False) -> Value:
    """Indices (int64) that sort along an axis, stable."""
    return b.emit(ArgSort(axis_of(axis, x.type.rank), descending), x)


def argmax(b: Builder, x: Value, axis: int, last: bool = False) -> Value:
    """The index (int64) of the first, or last, maximum along an axis, which is dropped."""
    axis = axis_of(axis, x.type.rank)
    is_best = equal(b, x, reduce_max(b, x, axis, keep=True))
    if x.type.dtype.is_float:
        is_best = logical_or(b, is_best, isnan(b, x))
    places = iota(b, INDEX, x.type.shape, axis)
    if last:
        return reduce_max(b, select(b, is_best, places, -1), axis)
    return reduce_min(b, select(b, is_best, places, np.iinfo(np.int64).max), axis)


def window(
    b: Builder,
    x: Value,
    function: str,
    kernel: Sequence[int],
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
) -> Value:
    """Sum, max or min over windows along the trailing axes; pads are those before all axes, then behind."""
    ones, zeros = (1,) * len(kernel), (0,) * (2 * len(kernel))
    operator = ReduceWindow(
        function,
        tuple(kernel),
        tuple(strides) if strides is not None else ones,
        tuple(pads) if pads is not None else zeros,
        tuple(dilations) if dilations is not None else ones,
    )
    return b.emit(operator, x)


# --- products ------------------------------------------------------------------------------------------


def dot(
    b: Builder,
    x: Value,
    y: Value,
    contract_x: Sequence[int],
    contract_y: Sequence[int],
    batch_x: Sequence[int] = (),
    batch_y: Sequence[int] = (),
) -> Value:
    """The sum of products over pairs of axes: the batch, the rest of x, the rest of y."""
    of_x, of_y = axes_of((*batch_x, *contract_x), x.type.rank), axes_of((*batch_y, *contract_y), y.type.rank)
    for i, j in zip(of_x, of_y, strict=True):
        x, y = _agree(b, x, i, y, j)
    batch = len(batch_x)
    return b.emit(Dot(of_x[batch:], of_y[batch:], of_x[:batch], of_y[:batch]), x, y)


def matmul(b: Builder, x: Value, y: Value) -> Value:
    """The matrix product with numpy's rules for leading axes and vectors."""
    rank_x, rank_y = x.type.rank, y.type.rank
    expect(rank_x > 0 and rank_y > 0, f"operands of matmul must have an axis, not {x.type}, {y.type}")
    if rank_y <= 2:
        return dot(b, x, y, (-1,), (0,))
    if rank_x == 1:
        return dot(b, y, x, (-2,), (0,))
    batch = joint_shape(x.type.shape[:-2], y.type.shape[:-2])
    x = broadcast_to(b, x, (*batch, *x.type.shape[-2:]))
    y = broadcast_to(b, y, (*batch, *y.type.shape[-2:]))
    axes = range(len(batch))
    return dot(b, x, y, (-1,), (-2,), axes, axes)


def conv(
    b: Builder,
    x: Value,
    w: Value,
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    groups: int = 1,
) -> Value:
    """The convolution of x (N, C, spatial..) with w (O, C / groups, kernel..)."""
    ones = (1,) * (x.type.rank - 2)
    zeros = (0,) * (2 * len(ones))
    operator = Conv(
        tuple(strides) if strides is not None else ones,
        tuple(pads) if pads is not None else zeros,
        tuple(dilations) if dilations is not None else ones,
        groups,
    )
    return b.emit(operator, x, w)


# --- control -------------------------------------------------------------------------------------------

Branch = Callable[[Builder], Sequence[Value]]
Body = Callable[..., Sequence[Value]]


def if_(b: Builder, condition: Value, then: Branch, orelse: Branch) -> tuple[Value, ...]:
    """The results of one of two branches; a size in which they differ gets a new name."""
    one, other = b.region("then", (), then), b.region("else", (), orelse)
    differing = [size for each in joined(one.function, other.function) for size in each.shape if size is None]
    sizes = tuple(b.size_name("either") for _ in differing)
    return b.apply(If(one.function, other.function, sizes), condition, *one.captured, *other.captured)


def while_(
    b: Builder, go: Value, carried: Sequence[Value], body: Body, length_name: str = "rounds"
) -> tuple[Value, ...]:
    """The carried values at the end, then outputs, stacked along a new size.

    Args:
        b: where equations go.
        go: whether to begin: a bool scalar.
        carried: values at the beginning.
        body: is given a builder and the carried values; returns whether to go on, the carried values and
            outputs.
        length_name: of the number of rounds.
    """
    region = b.region("body", [x.type for x in carried], body)
    operator = While(len(region.captured), region.function, b.size_name(length_name))
    return b.apply(operator, go, *region.captured, *carried)


def scan(
    b: Builder, carried: Sequence[Value], slices: Sequence[Value], body: Body, reverse: bool = False
) -> tuple[Value, ...]:
    """The carried values at the end, then outputs, stacked in the order of the slices.

    Args:
        b: where equations go.
        carried: values at the beginning.
        slices: are taken apart along their leading axis.
        body: is given a builder, the carried values and an element of each slice; returns the carried values,
            then outputs.
        reverse: from the last element on.
    """
    for index in range(1, len(slices)):
        first, other = _agree(b, slices[0], 0, slices[index], 0)
        slices = (first, *slices[1:index], other, *slices[index + 1 :])
    steps = [TensorType(x.type.dtype, x.type.shape[1:]) for x in slices]
    region = b.region("step", [*(x.type for x in carried), *steps], body)
    operator = Scan(len(region.captured), len(carried), region.function, reverse)
    return b.apply(operator, *region.captured, *carried, *slices)


# --- details ---


def _agree(b: Builder, x: Value, i: int, y: Value, j: int) -> tuple[Value, Value]:
    """Both, of which these axes are assumed to be equally long, if it cannot be decided."""
    one, other = x.type.shape[i], y.type.shape[j]
    if one == other or (isinstance(one, int) and isinstance(other, int)):
        return x, y
    if isinstance(other, int):
        return assume(b, x, (*x.type.shape[:i], other, *x.type.shape[i + 1 :])), y
    return x, assume(b, y, (*y.type.shape[:j], one, *y.type.shape[j + 1 :]))
