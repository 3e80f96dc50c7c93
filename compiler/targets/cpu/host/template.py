"""The templates of kernels: maps, reductions with maps before and behind, and irregular procedures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from tilewright.compiler import schedule
from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ops.primitive.argsort import ArgSort
from tilewright.compiler.ops.primitive.conv import Conv
from tilewright.compiler.ops.primitive.cumulative import CumulativeSum
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.ops.primitive.gather import ScatterAdd
from tilewright.compiler.ops.primitive.gather_elements import ScatterElements
from tilewright.compiler.ops.primitive.reduce import Reduce
from tilewright.compiler.ops.primitive.reduce import identity as neutral
from tilewright.compiler.ops.primitive.window import ReduceWindow
from tilewright.compiler.schedule import ComputeAt, Parallel, Primitive, Reorder, ScheduleError, Vectorise
from tilewright.compiler.targets.cpu.host import irregular
from tilewright.compiler.targets.cpu.host.buffer_view import BufferView
from tilewright.compiler.targets.cpu.host.express import ZERO, Element, Indices, express, inside
from tilewright.compiler.targets.cpu.host.kernel import Argument, KernelBuilder
from tilewright.compiler.targets.cpu.host.narrow import zero_of
from tilewright.compiler.te import (
    Tensor,
    both,
    cast,
    compute,
    lower,
    max_of,
    min_of,
    prod_of,
    reduce_axis,
    select,
    sum_of,
)
from tilewright.compiler.tir.expr import Const, Expr
from tilewright.compiler.tir.stmt import PrimFunc as Loops

PARALLEL_ELEMENTS = 1 << 15
"""The number of results of a kernel from which waking threads pays."""
FEW_LANES = 8
"""The next axis is in lanes where the last one has fewer elements."""
REDUCERS = {"sum": sum_of, "prod": prod_of, "max": max_of, "min": min_of}


@dataclass(frozen=True)
class KernelSpec:
    """A kernel: what it reads, and how its loops are made if its code is not in the cache.

    Members:
        key: text of all that the loops depend on.
        arguments: the buffers that it reads; results come behind.
        make: the loops.
        contract: whether sums of products may be rounded once.
        parallel: whether its parallel loops are worth waking threads.
    """

    key: str
    arguments: list[Argument]
    make: Callable[[], Loops]
    contract: bool = False
    parallel: bool = True


@dataclass
class Reader:
    """Elements of values in expressions of a kernel builder.

    Members:
        function: of primitives.
        views: of values in memory.
        builder: the kernel.
        fixed: elements that are known to the kernel: of its reduction.
    """

    function: Function
    views: dict[Value, BufferView]
    builder: KernelBuilder
    fixed: dict[Value, Callable[[Indices], Expr]]

    def element(self, value: Value, indices: Indices) -> Expr:
        """The element of a value at these indices."""
        if value in self.fixed:
            return self.fixed[value](indices)
        if value in self.views:
            return self.read(self.views[value], indices)
        equation = self.function.producers[value]
        literals = equation.operator.literals
        if literals and not equation.operands:
            return Const(literals[0].array.flat[0].item(), literals[0].type.dtype)
        return express(equation, indices, self.element)

    def read(self, view: BufferView, indices: Indices) -> Expr:
        """The element of a value in memory."""
        tensor = self.builder.source(Argument(view.buffer), view.shape, view.dtype)
        return tensor[tuple(indices[axis] for axis in view.axes)]


def moved(indices: Sequence[Expr], axes: Sequence[int], rank: int) -> Indices:
    """Indices of a value, of those of its axes in memory."""
    known = dict(zip(axes, indices, strict=True))
    return tuple(known.get(axis, ZERO) for axis in range(rank))


def map_kernel(reader: Reader, value: Value, result: BufferView) -> KernelSpec:
    """The value, element by element, in the order in which it lies."""
    builder, rank = reader.builder, value.type.rank

    def element(*indices: Expr) -> Expr:
        return reader.element(value, moved(indices, result.axes, rank))

    out = builder.stage("out", result.shape, element)
    return kernel_spec(builder, out, _rows(out, "out"))


def element_kernel(builder: KernelBuilder, shape: Sequence[int], element: Callable[..., Expr]) -> KernelSpec:
    """A tensor whose element is a function of its indices."""
    out = builder.stage("out", shape, element)
    return kernel_spec(builder, out, _rows(out, "out"))


def reduction_kernel(
    reader: Reader, reduction: Equation, value: Value, result: BufferView, order: Sequence[int]
) -> KernelSpec:
    """A reduction, and what is computed of it element by element.

    Args:
        reader: reads operands.
        reduction: the equation.
        value: the result.
        result: the memory of the value, with axes of several elements in the order of the reduction's.
        order: of the reduction's axes of several elements.
    """
    builder, shape = reader.builder, tuple(reduction.result.type.numbers[axis] for axis in order)
    is_row = _is_row(reader, reduction, order)

    def total(*indices: Expr) -> Expr:
        return reduction_at(reduction, moved(indices, order, reduction.result.type.rank), reader.element)

    acc = builder.stage("acc", shape, total)
    dtype = reduction.result.type.dtype
    reader.fixed[reduction.result] = lambda indices: cast(acc[tuple(indices[axis] for axis in order)], dtype)

    def element(*indices: Expr) -> Expr:
        return reader.element(value, moved(indices, result.axes, value.type.rank))

    out = builder.stage("out", result.shape, element)
    axes = [axis.name for axis in acc.stage.reduce_axes]  # type: ignore[attr-defined]
    return kernel_spec(builder, out, _reduction_steps(shape, axes, is_row))


def _is_row(reader: Reader, reduction: Equation, order: Sequence[int]) -> bool:
    """Whether neighbours in memory are neighbours of the result, so that lanes are results."""
    if not order:
        return False
    if isinstance(reduction.operator, Reduce):
        x = reduction.operands[0]
        last = reader.views[x].axes[-1:] if x in reader.views else (x.type.rank - 1,)
        return not last or last[0] not in reduction.operator.axes
    return True


def _reduction_steps(shape: tuple[int, ...], axes: list[str], is_row: bool) -> list[Primitive]:
    rank, steps = len(shape), list[Primitive]()
    reductions = tuple(f"acc_{name}" for name in axes)
    if is_row:
        last = rank - 1
        if rank > 1:
            steps.append(ComputeAt("acc", f"out_i{last - 1}"))
        steps.append(Reorder((*reductions, f"acc_i{last}")))
        if shape[last] > 1:
            steps += [Vectorise(f"acc_i{last}"), Vectorise(f"out_i{last}")]
    elif rank:
        steps.append(ComputeAt("acc", f"out_i{rank - 1}"))
    if rank > 1 and prod(shape) >= PARALLEL_ELEMENTS // 8:
        steps.append(Parallel("out_i0"))
    return steps


def reduction_at(reduction: Equation, indices: Indices, element: Element) -> Expr:
    """The reduction of an equation at an element of its result: float sums in float64."""
    match reduction.operator:
        case Reduce():
            return _reduced(reduction, indices, element)
        case ReduceWindow():
            return _window(reduction, indices, element)
        case Dot():
            return _dot(reduction, indices, element)
        case _:
            return _conv(reduction, indices, element)


def _wide(function: str, value: Expr) -> Expr:
    if not value.dtype.is_float:
        return value
    return cast(value, DType.FLOAT64 if function == "sum" else max_float(value.dtype))


def max_float(dtype: DType) -> DType:
    """The type in which elements of a float are compared and multiplied."""
    return DType.FLOAT32 if dtype is DType.FLOAT16 else dtype


def _reduced(reduction: Equation, indices: Indices, element: Element) -> Expr:
    operator, (x,) = reduction.operator, reduction.operands
    assert isinstance(operator, Reduce)
    sizes = x.type.numbers
    axes = {axis: reduce_axis(sizes[axis], f"k{axis}") for axis in operator.axes}
    rest = iter(indices)
    at = tuple(axes[axis] if axis in axes else next(rest) for axis in range(x.type.rank))
    value = _wide(operator.function, element(x, at))
    if not axes:
        axes = {0: reduce_axis(1, "k0")}
    return _identified(operator.function, value, list(axes.values()), None)


PARTS = 16
"""Reductions of a row are those of so many parts, of every 16th element each, whatever lanes there are."""


def is_in_parts(reduction: Equation) -> bool:
    """Whether a reduction is of the last axis alone, and that is long."""
    operator, sizes = reduction.operator, reduction.operands[0].type.numbers
    return isinstance(operator, Reduce) and operator.axes == (len(sizes) - 1,) and sizes[-1] >= 2 * PARTS


def part_at(reduction: Equation, indices: Indices, part: Expr, element: Element) -> Expr:
    """A part of a reduction at an element of its result, without what is behind the last whole `PARTS`."""
    (x,), size = reduction.operands, reduction.operands[0].type.numbers[-1]
    k = reduce_axis(size // PARTS, "k")
    function = reduction.operator.function  # type: ignore[attr-defined]
    return _identified(function, _wide(function, element(x, (*indices, k * PARTS + part))), [k], None)


def joined_at(reduction: Equation, indices: Indices, part: Callable[[Expr], Expr], element: Element) -> Expr:
    """The reduction at an element of its result, of its parts and of the elements behind."""
    (x,), size = reduction.operands, reduction.operands[0].type.numbers[-1]
    rest = size % PARTS
    j = reduce_axis(PARTS + rest, "j")
    function = reduction.operator.function  # type: ignore[attr-defined]
    value = part(j)
    if rest:
        behind = _wide(function, element(x, (*indices, j + (size - rest - PARTS))))
        value = select(j < PARTS, value, behind)
    return _identified(function, value, [j], None)


def _identified(function: str, value: Expr, axes: list[object], where: Expr | None) -> Expr:
    init = neutral(function, value.dtype).item()
    if where is not None:
        value = select(where, value, Const(init, value.dtype))
    return REDUCERS[function](value, tuple(axes), init=Const(init, value.dtype))  # type: ignore[arg-type]


def _window(reduction: Equation, indices: Indices, element: Element) -> Expr:
    operator, (x,) = reduction.operator, reduction.operands
    assert isinstance(operator, ReduceWindow)
    rank, lead = len(operator.kernel), x.type.rank - len(operator.kernel)
    axes = [reduce_axis(size, f"k{axis}") for axis, size in enumerate(operator.kernel)]
    at, within = _slid(
        indices[lead:],
        list(axes),
        operator.strides,
        operator.dilations,
        operator.pads[:rank],
        x.type.numbers[lead:],
    )
    where = within if any(operator.pads) else []
    value = _wide(operator.function, element(x, (*indices[:lead], *at)))
    return _identified(operator.function, value, list(axes), both(where) if where else None)


def _slid(
    windows: Sequence[Expr],
    taps: Sequence[Expr],
    strides: Sequence[int],
    dilations: Sequence[int],
    low: Sequence[int],
    sizes: Sequence[int],
) -> tuple[list[Expr], list[Expr]]:
    """The positions of the taps of windows, and the conditions for these to be in range."""
    at = [
        window * stride + tap * dilation - before
        for window, tap, stride, dilation, before in zip(windows, taps, strides, dilations, low, strict=True)
    ]
    limits = [limit for one, size in zip(at, sizes, strict=True) for limit in (one >= 0, one < size)]
    return at, limits


def _factor(reduction: Equation, value: Expr, zero: int | None = None) -> Expr:
    """An element as it is multiplied: floats in float64, integers in the type of the result."""
    if value.dtype.is_float:
        return _wide("sum", value)
    value = cast(value, reduction.result.type.dtype)
    return value - zero if zero else value


def _dot(reduction: Equation, indices: Indices, element: Element) -> Expr:
    """Of matrices in batches."""
    x, y = reduction.operands
    k = reduce_axis(x.type.numbers[2], "k")
    n, i, j = indices
    a = _factor(reduction, element(x, (n, i, k)), zero_of(reduction.operator))
    return sum_of(a * _factor(reduction, element(y, (n, k, j))), k)


def _conv(reduction: Equation, indices: Indices, element: Element) -> Expr:
    operator, (x, w) = reduction.operator, reduction.operands
    assert isinstance(operator, Conv)
    outputs, channels, *kernel = w.type.numbers
    axes = [reduce_axis(size, f"k{axis}") for axis, size in enumerate(kernel)]
    c = reduce_axis(channels, "c")
    n, o, *windows = indices
    at, within = _slid(
        windows,
        list(axes),
        operator.strides,
        operator.dilations,
        operator.pads[: len(kernel)],
        x.type.numbers[2:],
    )
    group = o // (outputs // operator.groups) * channels if operator.groups > 1 else None
    channel = c if group is None else group + c
    value = _factor(reduction, element(x, (n, channel, *at)), zero_of(operator))
    if any(operator.pads):
        value = select(both(within), value, Const(0, value.dtype))
    return sum_of(value * _factor(reduction, element(w, (o, c, *axes))), (c, *axes))


IRREGULAR = (ArgSort, CumulativeSum, ScatterAdd, ScatterElements)
"""Operators that procedures compute; `irregular_kernel`."""


def irregular_kernel(reader: Reader, equation: Equation) -> KernelSpec:
    """A procedure on operands that lie in the order of their axes."""
    operator, builder = equation.operator, reader.builder
    lines = [_whole(reader, value) for value in equation.operands]
    match operator:
        case ArgSort():
            x = _around(reader, equation.operands[0], operator.axis, _comparable)
            out = irregular.sorted_order(x, operator.descending, name="out")
        case CumulativeSum():
            x = _around(reader, equation.operands[0], operator.axis, lambda value: _wide("sum", value))
            sums = irregular.running_sum(x, operator.exclusive, operator.reverse, name="sums")
            out = _cast_back(sums, equation.result.type.dtype)
        case ScatterAdd() | ScatterElements():
            reduction = "add" if isinstance(operator, ScatterAdd) else operator.reduction
            out = _scattered(reader, equation, lines, irregular.REDUCTIONS[reduction])
        case _:
            raise TypeError(f"equation must be irregular, not {operator!r}")
    builder.key.append(f"{operator!r} {equation.operands[0].type}")
    return kernel_spec(builder, out, [])


def _whole(reader: Reader, value: Value) -> Tensor:
    view = reader.views[value]
    return reader.builder.source(Argument(view.buffer), (value.type.elements,), value.type.dtype)


def _around(reader: Reader, value: Value, axis: int, change: Callable[[Expr], Expr]) -> Tensor:
    sizes = value.type.numbers
    shape = (prod(sizes[:axis]), sizes[axis], prod(sizes[axis + 1 :]))
    tensor = reader.builder.source(Argument(reader.views[value].buffer), shape, value.type.dtype)
    one = change(tensor[0, 0, 0])
    if one.dtype is value.type.dtype:
        return tensor
    return compute(shape, lambda o, k, i: change(tensor[o, k, i]), "changed")


def _comparable(value: Expr) -> Expr:
    if value.dtype is DType.BOOL:
        return cast(value, DType.UINT8)
    return cast(value, max_float(value.dtype)) if value.dtype.is_float else value


def _cast_back(tensor: Tensor, dtype: DType) -> Tensor:
    """The tensor in another type; a copy where it has that already, since a result must be a stage's own."""
    if tensor.dtype is dtype:
        return tensor
    if len(tensor.shape) == 1:
        return compute(tensor.shape, lambda k: cast(tensor[k], dtype), "out")
    return compute(tensor.shape, lambda o, k, i: cast(tensor[o, k, i], dtype), "out")


def _scattered(reader: Reader, equation: Equation, lines: list[Tensor], reduction: int) -> Tensor:
    x, _, updates = equation.operands
    sizes, shape, axis = x.type.numbers, updates.type.numbers, equation.operator.axis  # type: ignore[attr-defined]
    rank = equation.operands[1].type.rank if isinstance(equation.operator, ScatterAdd) else 1

    def position(k: Expr) -> Expr:
        at = _unravelled(k, shape)
        if isinstance(equation.operator, ScatterAdd):
            number = _ravelled(at[axis : axis + rank], equation.operands[1].type.numbers)
        else:
            number = k
        row = inside(lines[1][number], sizes[axis])
        return _ravelled((*at[:axis], row, *at[axis + rank :]), sizes)

    positions = compute((updates.type.elements,), position, "positions")
    dtype = x.type.dtype
    wide = max_float(dtype) if dtype.is_float else dtype
    own, new = (_widened(lines[number], wide, f"wide{number}") for number in (0, 2))
    return _cast_back(irregular.scattered(own, positions, new, reduction, name="result"), dtype)


def _widened(line: Tensor, dtype: DType, name: str) -> Tensor:
    return line if line.dtype is dtype else compute(line.shape, lambda k: cast(line[k], dtype), name)


def _unravelled(k: Expr, shape: Sequence[int]) -> list[Expr]:
    strides = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return [k // stride % size for size, stride in zip(shape, strides, strict=True)]


def _ravelled(indices: Sequence[Expr], shape: Sequence[int]) -> Expr:
    total: Expr = ZERO
    for axis, index in enumerate(indices):
        total = total + index * prod(shape[axis + 1 :])
    return total


def _rows(tensor: Tensor, name: str) -> list[Primitive]:
    """Neighbours in lanes; the outermost loop for threads."""
    shape, last = tensor.shape, len(tensor.shape) - 1
    steps: list[Primitive] = []
    if last > 0 and shape[-1] < FEW_LANES <= shape[-2]:
        # Three colours of a pixel fill no vector.
        steps += [Reorder((f"{name}_i{last}", f"{name}_i{last - 1}")), Vectorise(f"{name}_i{last - 1}")]
    elif shape and shape[-1] > 1:
        steps.append(Vectorise(f"{name}_i{last}"))
    if len(shape) > 1 and prod(shape) >= PARALLEL_ELEMENTS:
        steps.append(Parallel(f"{name}_i0"))
    return steps


def kernel_spec(builder: KernelBuilder, out: Tensor, steps: Sequence[Primitive]) -> KernelSpec:
    """The kernel of a builder, scheduled by those of the steps that apply."""
    key = "\n".join([*builder.key, *map(str, steps)])
    return KernelSpec(key, builder.arguments, lambda: _looped(builder, out, steps))


def _looped(builder: KernelBuilder, out: Tensor, steps: Sequence[Primitive]) -> Loops:
    """The loops, scheduled by those of the steps that apply."""
    function = lower("kernel", builder.inputs, [out])
    for step in steps:
        try:
            function = schedule.apply(function, [step])
        except ScheduleError:
            continue
    return function
