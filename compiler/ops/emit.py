"""Equations by plain functions: one a primitive, the builder first.

Broadcasting as in numpy, promotion of Python numbers, axes counted from the end and the folding of what is
known stand here once. Where it cannot be decided whether two symbolic sizes are equal, they are assumed to
be.
"""

from collections.abc import Callable, Sequence

import numpy as np

from tilewright.compiler.dtype import INDEX, DType
from tilewright.compiler.ir.array import Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.error import OperatorError
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Operator, expect
from tilewright.compiler.ir.size import AnySize
from tilewright.compiler.ir.type import Shape, TensorType
from tilewright.compiler.ops.primitive.argsort import ArgSort
from tilewright.compiler.ops.primitive.assume import Assume
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.cast import Cast
from tilewright.compiler.ops.primitive.concat import Concat
from tilewright.compiler.ops.primitive.control import If, Scan, While, joined
from tilewright.compiler.ops.primitive.conv import Conv
from tilewright.compiler.ops.primitive.cumulative import CumulativeSum
from tilewright.compiler.ops.primitive.dilate import Dilate
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.ops.primitive.extent import Extent
from tilewright.compiler.ops.primitive.gather import Gather, ScatterAdd
from tilewright.compiler.ops.primitive.gather_elements import GatherElements, ScatterElements
from tilewright.compiler.ops.primitive.iota import Iota
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.nonzero import NonZero
from tilewright.compiler.ops.primitive.pad import Pad
from tilewright.compiler.ops.primitive.reduce import Reduce
from tilewright.compiler.ops.primitive.reshape import Reshape, elements, quotient
from tilewright.compiler.ops.primitive.slice import Slice
from tilewright.compiler.ops.primitive.transpose import Transpose
from tilewright.compiler.ops.primitive.window import Window

Number = bool | int | float
Operand = Value | Number
"""Numbers take the element type of the values beside them."""

FOLDED_ELEMENTS = 1024
"""Constants of at most so many elements are computed while building."""
INEXACT = frozenset(
    ["exp", "log", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "erf", "pow"]
)
"""Functions whose last bits depend on the machine: they are not folded."""

# --- elementwise ---------------------------------------------------------------------------------------


def apply(b: Builder, function: str, *operands: Operand) -> Value:
    """A scalar function on operands that are broadcast to one shape; of `select`, the first is bool."""
    typed = operands[1:] if function == "select" else operands
    dtype = next((x.type.dtype for x in typed if isinstance(x, Value)), None)
    if dtype is None:
        raise OperatorError(f"{function} must have a tensor among its operands, not numbers alone: cast one")
    first = [DType.BOOL] if function == "select" else []
    dtypes = [*first, *[dtype] * len(typed)]
    values = [promote(b, x, each) for x, each in zip(operands, dtypes, strict=True)]
    return _known(b, function, values) or _fold(b, Map(function), *broadcast(b, *values))


def promote(b: Builder, x: Operand, dtype: DType) -> Value:
    """A number as a constant of that type, which must hold it; a value as it is."""
    if isinstance(x, Value):
        return x
    array = np.asarray(x)
    is_held = (
        dtype.is_float
        or (dtype is DType.BOOL and isinstance(x, bool | np.bool_))
        or (dtype.is_integer and float(x).is_integer() and _is_within(int(x), dtype))
    )
    expect(is_held, f"{x!r} must be a value of {dtype}: cast the other operand")
    return b.constant(array.astype(dtype.numpy))


def _is_within(x: int, dtype: DType) -> bool:
    limits = np.iinfo(dtype.value)
    return int(limits.min) <= x <= int(limits.max)


def _known(b: Builder, function: str, values: Sequence[Value]) -> Value | None:
    """The first operand, where the second one changes nothing."""
    neutral = {"sub": 0, "mul": 1, "div": 1, "add": 0}.get(function)
    if neutral is None or (function == "add" and values[0].type.dtype.is_float):
        return None
    x, y = values
    for one, other in ((x, y), (y, x)) if function in ("add", "mul") else ((x, y),):
        literal = b.literal(other)
        if literal is not None and not other.type.rank and literal.array == neutral:
            return one
    return None


def _fold(b: Builder, operator: Operator, *operands: Value) -> Value:
    """The operator's result; as a constant, if that is known, small and the same on every machine."""
    literals = [b.literal(x) for x in operands]
    known = [each.array for each in literals if each is not None and each.array.size <= FOLDED_ELEMENTS]
    is_exact = not (isinstance(operator, Map) and operator.function in INEXACT)
    if known and len(known) == len(operands) and is_exact and not operator.size_names:
        (tensor,) = operator.infer(*(x.type for x in operands))
        if tensor.is_known and tensor.elements <= FOLDED_ELEMENTS:
            return b.constant(Literal(operator.run(*known)[0]))
    return b.emit(operator, *operands)


def broadcast(b: Builder, *values: Value) -> list[Value]:
    """Values in the one shape that numpy would give them."""
    shape = joint_shape(*(value.type.shape for value in values))
    return [broadcast_to(b, value, shape) for value in values]


def joint_shape(*shapes: Shape) -> Shape:
    """The shape to which these are broadcast; of symbolic sizes that may differ, a number or the first one.

    Raises:
        OperatorError: for two numbers that differ, and neither is 1.
    """
    rank = max(map(len, shapes))
    result: list[AnySize] = []
    for place in range(-rank, 0):
        sizes = list(dict.fromkeys(shape[place] for shape in shapes if len(shape) >= -place))
        others = [size for size in sizes if size != 1] or [1]
        numbers = [size for size in others if isinstance(size, int)]
        if len(numbers) > 1:
            listed = ", ".join(str(list(shape)) for shape in shapes)
            raise OperatorError(f"shapes must agree or be 1 in each axis, from the last one on, not {listed}")
        result.append((numbers or others)[0])
    return tuple(result)


def _unary(function: str) -> Callable[[Builder, Value], Value]:
    def emit(b: Builder, x: Value) -> Value:
        return apply(b, function, x)

    emit.__doc__ = f"`{function}` of each element."
    return emit


def _binary(function: str) -> Callable[[Builder, Operand, Operand], Value]:
    def emit(b: Builder, x: Operand, y: Operand) -> Value:
        return apply(b, function, x, y)

    emit.__doc__ = f"`{function}` of each two elements."
    return emit


neg, abs, sign, exp = _unary("neg"), _unary("abs"), _unary("sign"), _unary("exp")
log, sqrt, sin, cos, tan = _unary("log"), _unary("sqrt"), _unary("sin"), _unary("cos"), _unary("tan")
asin, acos, atan = _unary("asin"), _unary("acos"), _unary("atan")
sinh, cosh, tanh, erf = _unary("sinh"), _unary("cosh"), _unary("tanh"), _unary("erf")
floor, ceil, round = _unary("floor"), _unary("ceil"), _unary("round")
isnan, isinf, logical_not = _unary("isnan"), _unary("isinf"), _unary("not")
add, sub, mul, div, pow = _binary("add"), _binary("sub"), _binary("mul"), _binary("div"), _binary("pow")
maximum, minimum, mod, fmod = _binary("max"), _binary("min"), _binary("mod"), _binary("fmod")
logical_and, logical_or, logical_xor = _binary("and"), _binary("or"), _binary("xor")
shift_left, shift_right = _binary("shift_left"), _binary("shift_right")
equal, less = _binary("equal"), _binary("less")


def greater(b: Builder, x: Operand, y: Operand) -> Value:
    """Whether x > y."""
    return less(b, y, x)


def less_equal(b: Builder, x: Operand, y: Operand) -> Value:
    """Whether x <= y; never for NaN."""
    return logical_or(b, less(b, x, y), equal(b, x, y))


def greater_equal(b: Builder, x: Operand, y: Operand) -> Value:
    """Whether x >= y; never for NaN."""
    return less_equal(b, y, x)


def select(b: Builder, condition: Operand, x: Operand, y: Operand) -> Value:
    """x where the condition holds, y elsewhere."""
    return apply(b, "select", condition, x, y)


def reciprocal(b: Builder, x: Value) -> Value:
    """1 / x."""
    return div(b, 1, x)


def square(b: Builder, x: Value) -> Value:
    """x · x."""
    return mul(b, x, x)


def sigmoid(b: Builder, x: Value) -> Value:
    """1 / (1 + exp(-x)), by tanh, which overflows nowhere."""
    return mul(b, add(b, tanh(b, mul(b, x, 0.5)), 1), 0.5)


def relu(b: Builder, x: Value) -> Value:
    """max(x, 0)."""
    return maximum(b, x, 0)


# --- made from nothing ---------------------------------------------------------------------------------


def cast(b: Builder, x: Value, dtype: DType) -> Value:
    """Elements of another type; x itself, if they are."""
    return x if x.type.dtype is dtype else _fold(b, Cast(dtype), x)


def iota(b: Builder, dtype: DType, shape: Sequence[AnySize], axis: int) -> Value:
    """0, 1, 2 … along an axis."""
    return b.emit(Iota(dtype, tuple(shape), _axis(axis, len(shape))))


def extent(b: Builder, x: Value, axis: int) -> Value:
    """The size of an axis: an int64 scalar; a constant, if it is known."""
    axis = _axis(axis, x.type.rank)
    size = x.type.shape[axis]
    return b.constant(size, INDEX) if isinstance(size, int) else b.emit(Extent(axis), x)


def full(b: Builder, value: Operand, dtype: DType, shape: Sequence[AnySize]) -> Value:
    """A tensor of one value."""
    return broadcast_to(b, promote(b, value, dtype), shape)


def zeros_like(b: Builder, x: Value) -> Value:
    """Zeros, or false, of the type of x."""
    zero: Number = False if x.type.dtype is DType.BOOL else 0
    return full(b, zero, x.type.dtype, x.type.shape)


def assume(b: Builder, x: Value, shape: Sequence[AnySize]) -> Value:
    """x, of which these sizes are known."""
    return x if x.type.shape == tuple(shape) else b.emit(Assume(tuple(shape)), x)


# --- moved ---------------------------------------------------------------------------------------------


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
    return x if wanted == x.type.shape else _fold(b, Reshape(wanted), x)


def transpose(b: Builder, x: Value, permutation: Sequence[int] | None = None) -> Value:
    """Axes in another order: of each axis of the result, that of x; reversed, if none is given."""
    rank = x.type.rank
    order = tuple(reversed(range(rank))) if permutation is None else _axes(permutation, rank)
    return x if order == tuple(range(rank)) else _fold(b, Transpose(order), x)


def repeat(b: Builder, x: Value, shape: Sequence[AnySize], axes: Sequence[int]) -> Value:
    """x, whose axes are these of the result, along the others again and again."""
    is_same = x.type.shape == tuple(shape) and tuple(axes) == tuple(range(x.type.rank))
    return x if is_same else b.emit(Broadcast(tuple(shape), tuple(axes)), x)


def broadcast_to(b: Builder, x: Value, shape: Sequence[AnySize]) -> Value:
    """x in that shape, as numpy would; sizes that may differ are assumed to be equal."""
    lead = len(shape) - x.type.rank
    expect(lead >= 0, f"{x.type} cannot be broadcast to fewer axes: {list(shape)}")
    own = zip(x.type.shape, tuple(shape)[lead:], strict=True)
    x = assume(b, x, [size if size == 1 else wanted for size, wanted in own])
    return repeat(b, x, shape, range(lead, len(shape)))


def expand_dims(b: Builder, x: Value, axes: Sequence[int] | int) -> Value:
    """New axes of size 1 at these places of the result."""
    given = (axes,) if isinstance(axes, int) else tuple(axes)
    rank = x.type.rank + len(given)
    places = _axes(given, rank)
    own = iter(x.type.shape)
    return reshape(b, x, [1 if axis in places else next(own) for axis in range(rank)])


def squeeze(b: Builder, x: Value, axes: Sequence[int] | int | None = None) -> Value:
    """Without these axes of size 1; without all of them, if none is given."""
    shape, rank = x.type.shape, x.type.rank
    given = (axes,) if isinstance(axes, int) else axes
    places = [axis for axis in range(rank) if shape[axis] == 1] if given is None else _axes(given, rank)
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
    return x if is_whole else _fold(b, Slice(tuple(starts), tuple(stops), steps), x)


def slice_axis(b: Builder, x: Value, axis: int, start: AnySize, stop: AnySize, step: int = 1) -> Value:
    """The elements from start, before stop, along one axis."""
    axis, rank = _axis(axis, x.type.rank), x.type.rank
    behind = rank - axis - 1
    stops = (*x.type.shape[:axis], stop, *x.type.shape[axis + 1 :])
    return slice(b, x, (*(0,) * axis, start, *(0,) * behind), stops, (*(1,) * axis, step, *(1,) * behind))


def dilate(b: Builder, x: Value, axis: int, by: int) -> Value:
    """Zeros between elements along an axis, so that they are `by` apart."""
    return x if by == 1 else b.emit(Dilate(_axis(axis, x.type.rank), by), x)


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
    return xs[0] if len(xs) == 1 else _fold(b, Concat(_axis(axis, xs[0].type.rank)), *xs)


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
    place = _axis(axis, xs[0].type.rank + 1)
    return concat(b, [expand_dims(b, x, place) for x in xs], place)


# --- by indices ----------------------------------------------------------------------------------------


def gather(b: Builder, x: Value, indices: Value, axis: int) -> Value:
    """Rows of x along an axis, as numpy.take; indices become int64."""
    return _fold(b, Gather(_axis(axis, x.type.rank)), x, cast(b, indices, INDEX))


def scatter_add(b: Builder, x: Value, indices: Value, updates: Value, axis: int) -> Value:
    """x with updates added to its rows along an axis; indices may repeat."""
    return b.emit(ScatterAdd(_axis(axis, x.type.rank)), x, cast(b, indices, INDEX), updates)


def gather_elements(b: Builder, x: Value, indices: Value, axis: int) -> Value:
    """Elements of x one by one, as numpy.take_along_axis."""
    return b.emit(GatherElements(_axis(axis, x.type.rank)), x, cast(b, indices, INDEX))


def scatter_elements(
    b: Builder, x: Value, indices: Value, updates: Value, axis: int, reduction: str = "none"
) -> Value:
    """x with updates one by one; reduction is none, add, mul, min or max."""
    operator = ScatterElements(_axis(axis, x.type.rank), reduction)
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
    rows = reshape(b, x, (elements(x.type.shape[:count]), *rest))
    return gather(b, rows, flat, 0)


def scatter_nd(b: Builder, x: Value, indices: Value, updates: Value, reduction: str = "none") -> Value:
    """x with updates at coordinates, which lie along the last axis of the indices; as `gather_nd` reads."""
    flat, count = _flat_indices(b, x, indices, 0)
    rows, columns = elements(x.type.shape[:count]), elements(x.type.shape[count:])
    places = elements(flat.type.shape)
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
    places = tuple(sorted(_axes(given, rank)))
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
    for axis in _axes(given, rank):
        count = mul(b, count, extent(b, x, axis))
    return div(b, reduce_sum(b, x, given, keep), cast(b, count, x.type.dtype))


def cumulative_sum(b: Builder, x: Value, axis: int, exclusive: bool = False, reverse: bool = False) -> Value:
    """The sum of all elements so far along an axis."""
    return b.emit(CumulativeSum(_axis(axis, x.type.rank), exclusive, reverse), x)


def argsort(b: Builder, x: Value, axis: int, descending: bool = False) -> Value:
    """Indices (int64) that sort along an axis, stable."""
    return b.emit(ArgSort(_axis(axis, x.type.rank), descending), x)


def argmax(b: Builder, x: Value, axis: int, last: bool = False) -> Value:
    """The index (int64) of the first, or last, maximum along an axis, which is dropped."""
    axis = _axis(axis, x.type.rank)
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
    operator = Window(
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
    of_x, of_y = _axes((*batch_x, *contract_x), x.type.rank), _axes((*batch_y, *contract_y), y.type.rank)
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


# --- details -------------------------------------------------------------------------------------------


def _agree(b: Builder, x: Value, i: int, y: Value, j: int) -> tuple[Value, Value]:
    """Both, of which these axes are assumed to be equally long, if it cannot be decided."""
    one, other = x.type.shape[i], y.type.shape[j]
    if one == other or (isinstance(one, int) and isinstance(other, int)):
        return x, y
    if isinstance(other, int):
        return assume(b, x, (*x.type.shape[:i], other, *x.type.shape[i + 1 :])), y
    return x, assume(b, y, (*y.type.shape[:j], one, *y.type.shape[j + 1 :]))


def _axis(axis: int, rank: int) -> int:
    expect(-rank <= axis < rank, f"an axis must be from {-rank} to {rank - 1}, not {axis}")
    return axis % rank


def _axes(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    return tuple(_axis(axis, rank) for axis in axes)
