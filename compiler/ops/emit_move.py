"""Tensors made from nothing, and elements moved: for `emit`."""

from collections.abc import Sequence

from tilewright.compiler.dtype import INDEX, DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.error import OperatorError
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import expect
from tilewright.compiler.ir.size import AnySize
from tilewright.compiler.ops.emit_map import Number, Operand, broadcast_to, fold, promote
from tilewright.compiler.ops.primitive.concat import Concat
from tilewright.compiler.ops.primitive.dilate import Dilate
from tilewright.compiler.ops.primitive.extent import Extent
from tilewright.compiler.ops.primitive.iota import Iota
from tilewright.compiler.ops.primitive.pad import Pad
from tilewright.compiler.ops.primitive.reshape import Reshape, elements, quotient
from tilewright.compiler.ops.primitive.slice import Slice
from tilewright.compiler.ops.primitive.transpose import Transpose


def iota(b: Builder, dtype: DType, shape: Sequence[AnySize], axis: int) -> Value:
    """0, 1, 2 … along an axis."""
    return b.emit(Iota(dtype, tuple(shape), axis_of(axis, len(shape))))


def extent(b: Builder, x: Value, axis: int) -> Value:
    """The size of an axis: an int64 scalar; a constant, if it is known."""
    axis = axis_of(axis, x.type.rank)
    size = x.type.shape[axis]
    return b.constant(size, INDEX) if isinstance(size, int) else b.emit(Extent(axis), x)


def full(b: Builder, value: Operand, dtype: DType, shape: Sequence[AnySize]) -> Value:
    """A tensor of one value."""
    return broadcast_to(b, promote(b, value, dtype), shape)


def zeros_like(b: Builder, x: Value) -> Value:
    """Zeros, or false, of the type of x."""
    zero: Number = False if x.type.dtype is DType.BOOL else 0
    return full(b, zero, x.type.dtype, x.type.shape)


def reshape(b: Builder, x: Value, shape: Sequence[AnySize]) -> Value:
    """The elements in another shape, in which one size may be -1: what is left."""
    wanted = tuple(shape)
    if -1 in wanted:
        place = wanted.index(-1)
        others = (*wanted[:place], *wanted[place + 1 :])
        expect(-1 not in others, f"one size of a shape may be -1, not more: {wanted}")
        left = quotient(elements(x.type.shape), elements(others))
        if left is None:
            raise OperatorError(f"reshape: the size -1 of {list(wanted)} must follow from {x.type}: give it")
        wanted = (*wanted[:place], left, *wanted[place + 1 :])
    return x if wanted == x.type.shape else fold(b, Reshape(wanted), x)


def transpose(b: Builder, x: Value, permutation: Sequence[int] | None = None) -> Value:
    """Axes in another order: of each axis of the result, that of x; reversed, if none is given."""
    rank = x.type.rank
    order = tuple(reversed(range(rank))) if permutation is None else axes_of(permutation, rank)
    return x if order == tuple(range(rank)) else fold(b, Transpose(order), x)


def expand_dims(b: Builder, x: Value, axes: Sequence[int] | int) -> Value:
    """New axes of size 1 at these places of the result."""
    given = (axes,) if isinstance(axes, int) else tuple(axes)
    rank = x.type.rank + len(given)
    places = axes_of(given, rank)
    own = iter(x.type.shape)
    return reshape(b, x, [1 if axis in places else next(own) for axis in range(rank)])


def squeeze(b: Builder, x: Value, axes: Sequence[int] | int | None = None) -> Value:
    """Without these axes of size 1; without all of them, if none is given."""
    shape, rank = x.type.shape, x.type.rank
    given = (axes,) if isinstance(axes, int) else axes
    places = [axis for axis in range(rank) if shape[axis] == 1] if given is None else axes_of(given, rank)
    wrong = [axis for axis in places if isinstance(shape[axis], int) and shape[axis] != 1]
    expect(not wrong, f"squeeze: axes must have the size 1, and {wrong} of {x.type} have not")
    return reshape(b, x, [size for axis, size in enumerate(shape) if axis not in places])


def slice(
    b: Builder,
    x: Value,
    starts: Sequence[AnySize],
    stops: Sequence[AnySize],
    steps: Sequence[int] | None = None,
) -> Value:
    """Of each axis the elements from a start, before a stop; backwards, a stop may be -1."""
    steps = tuple(steps) if steps is not None else (1,) * x.type.rank
    is_whole = not any(starts) and tuple(stops) == x.type.shape and set(steps) <= {1}
    return x if is_whole else fold(b, Slice(tuple(starts), tuple(stops), steps), x)


def slice_axis(b: Builder, x: Value, axis: int, start: AnySize, stop: AnySize, step: int = 1) -> Value:
    """The elements from start, before stop, along one axis."""
    axis, rank = axis_of(axis, x.type.rank), x.type.rank
    behind = rank - axis - 1
    stops = (*x.type.shape[:axis], stop, *x.type.shape[axis + 1 :])
    return slice(b, x, (*(0,) * axis, start, *(0,) * behind), stops, (*(1,) * axis, step, *(1,) * behind))


def dilate(b: Builder, x: Value, axis: int, by: int) -> Value:
    """Zeros between elements along an axis, so that they are `by` apart."""
    return x if by == 1 else b.emit(Dilate(axis_of(axis, x.type.rank), by), x)


def pad(b: Builder, x: Value, low: Sequence[AnySize], high: Sequence[AnySize], value: Operand = 0) -> Value:
    """A border of a value, before and behind along each axis."""
    if not any(low) and not any(high):
        return x
    number = bool(value) if x.type.dtype is DType.BOOL and not isinstance(value, Value) else value
    return b.emit(Pad(tuple(low), tuple(high)), x, promote(b, number, x.type.dtype))


def pad_or_cut(b: Builder, x: Value, low: Sequence[AnySize], high: Sequence[AnySize]) -> Value:
    """A border of zeros; where a number is negative, so many elements are cut off instead."""
    starts = [-each if isinstance(each, int) and each < 0 else 0 for each in low]
    ends = [-each if isinstance(each, int) and each < 0 else 0 for each in high]
    inside = slice(b, x, starts, [size - end for size, end in zip(x.type.shape, ends, strict=True)])
    before = [0 if start else each for each, start in zip(low, starts, strict=True)]
    return pad(b, inside, before, [0 if end else each for each, end in zip(high, ends, strict=True)])


def concat(b: Builder, xs: Sequence[Value], axis: int) -> Value:
    """Tensors one behind the other."""
    return xs[0] if len(xs) == 1 else fold(b, Concat(axis_of(axis, xs[0].type.rank)), *xs)


def split(b: Builder, x: Value, sizes: Sequence[AnySize], axis: int) -> list[Value]:
    """Parts of these sizes along an axis, which they fill."""
    parts: list[Value] = []
    start: AnySize = 0
    for size in sizes:
        parts.append(slice_axis(b, x, axis, start, start + size))
        start = start + size
    return parts


def stack(b: Builder, xs: Sequence[Value], axis: int) -> Value:
    """Tensors along a new axis of the result."""
    place = axis_of(axis, xs[0].type.rank + 1)
    return concat(b, [expand_dims(b, x, place) for x in xs], place)


def axis_of(axis: int, rank: int) -> int:
    """The axis counted from 0; it may be counted from the end."""
    expect(-rank <= axis < rank, f"an axis must be from {-rank} to {rank - 1}, not {axis}")
    return axis % rank


def axes_of(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Axes counted from 0."""
    return tuple(axis_of(axis, rank) for axis in axes)
