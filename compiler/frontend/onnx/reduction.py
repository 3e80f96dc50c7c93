"""Reductions along axes, and what counts or sorts along one."""

from collections.abc import Callable

from tilewright.compiler.dtype import DType
from tilewright.compiler.frontend.error import require
from tilewright.compiler.frontend.onnx.node import Node, Result, converter, normal_axes, normal_axis
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn.order import one_hot, top_k

Reduction = Callable[[Builder, Value, tuple[int, ...], bool], Value]


def _l1(b: Builder, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    return e.reduce_sum(b, e.abs(b, x), axes, keep)


def _sum_square(b: Builder, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    return e.reduce_sum(b, e.mul(b, x, x), axes, keep)


def _l2(b: Builder, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    return e.sqrt(b, _sum_square(b, x, axes, keep))


def _log_sum(b: Builder, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    return e.log(b, e.reduce_sum(b, x, axes, keep))


def _log_sum_exp(b: Builder, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    """Shifted by the largest element, so that no exponential overflows."""
    if any(x.type.shape[axis] == 0 for axis in axes):
        return _log_sum(b, e.exp(b, x), axes, keep)
    largest = e.reduce_max(b, x, axes, True)
    shift = e.select(b, e.isinf(b, largest), e.zeros_like(b, largest), largest)
    total = e.reduce_sum(b, e.exp(b, e.sub(b, x, shift)), axes, True)
    result = e.add(b, e.log(b, total), shift)
    return result if keep else e.squeeze(b, result, axes)


def _extreme(function: Callable[..., Value], logical: Callable[..., Value]) -> Reduction:
    """Maximum and minimum; of truth values as numbers."""

    def reduce(b: Builder, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
        if x.type.dtype is not DType.BOOL:
            return function(b, x, axes, keep)
        return e.cast(b, function(b, e.cast(b, x, DType.UINT8), axes, keep), DType.BOOL)

    return reduce


_REDUCTIONS: dict[str, Reduction] = {
    "ReduceSum": lambda b, x, axes, keep: e.reduce_sum(b, x, axes, keep),
    "ReduceMax": _extreme(e.reduce_max, e.logical_or),
    "ReduceMin": _extreme(e.reduce_min, e.logical_and),
    "ReduceProd": lambda b, x, axes, keep: e.reduce_prod(b, x, axes, keep),
    "ReduceMean": lambda b, x, axes, keep: e.mean(b, x, axes, keep),
    "ReduceL1": _l1,
    "ReduceL2": _l2,
    "ReduceSumSquare": _sum_square,
    "ReduceLogSum": _log_sum,
    "ReduceLogSumExp": _log_sum_exp,
}


def _by_attribute(reduction: Reduction) -> Callable[[Node], Result]:
    def convert(node: Node) -> Result:
        x = node.x(0)
        axes = normal_axes(node.integers("axes", range(x.type.rank)), x.type.rank)
        return reduction(node.b, x, axes, bool(node.integer("keepdims", 1)))

    return convert


def _by_operand(reduction: Reduction) -> Callable[[Node], Result]:
    def convert(node: Node) -> Result:
        x = node.x(0)
        axes = node.numbers(1) if node.has(1) else []
        if not axes and node.integer("noop_with_empty_axes", 0):
            # Reduces over no axis: what is done to each element stays.
            return reduction(node.b, x, (), True)
        found = normal_axes(axes, x.type.rank) if axes else tuple(range(x.type.rank))
        return reduction(node.b, x, found, bool(node.integer("keepdims", 1)))

    return convert


for _name, _reduction in _REDUCTIONS.items():
    converter(_name)(_by_attribute(_reduction))
    converter(_name, since=13 if _name == "ReduceSum" else 18)(_by_operand(_reduction))


@converter("ArgMax", "ArgMin")
def _arg(node: Node) -> Result:
    b, x = node.b, node.x(0)
    axis = node.axis("axis", x.type.rank, 0)
    last = bool(node.integer("select_last_index", 0))
    if node.operator == "ArgMin":
        x = e.logical_not(b, x) if x.type.dtype.is_integer else e.neg(b, x)
    found = e.argmax(b, x, axis, last)
    return e.expand_dims(b, found, (axis,)) if node.integer("keepdims", 1) else found


@converter("CumSum")
def _cumulative_sum(node: Node) -> Result:
    (axis,) = node.numbers(1)
    flags = bool(node.integer("exclusive", 0)), bool(node.integer("reverse", 0))
    return e.cumulative_sum(node.b, node.x(0), normal_axis(axis, node.rank(0)), *flags)


@converter("CumProd")
def _cumulative_product(node: Node) -> Result:
    (axis,) = node.numbers(1)
    axis = normal_axis(axis, node.rank(0))
    exclusive, reverse = bool(node.integer("exclusive", 0)), bool(node.integer("reverse", 0))
    b, x = node.b, node.x(0)
    order = (axis, *(each for each in range(x.type.rank) if each != axis))
    steps = e.transpose(b, x, order)
    one = e.full(b, 1, x.type.dtype, steps.type.shape[1:])

    def body(inner: Builder, total: Value, step: Value) -> tuple[Value, Value]:
        product = e.mul(inner, total, step)
        return product, total if exclusive else product

    _, products = e.scan(b, [one], [steps], body, reverse=reverse)
    return e.transpose(b, products, tuple(order.index(each) for each in range(x.type.rank)))


@converter("TopK", since=10)
def _top_k(node: Node) -> Result:
    x = node.x(0)
    counts = node.sizes(1)
    require(len(counts) == 1, f"k must be one number, not {counts}")
    axis = node.axis("axis", x.type.rank, -1)
    return top_k(node.b, x, counts[0], axis, bool(node.integer("largest", 1)))


@converter("OneHot")
def _one_hot(node: Node) -> Result:
    b = node.b
    (depth,) = node.sizes(1)
    depth = int(depth) if not isinstance(depth, Size) else depth
    rank = node.rank(0) + 1
    values = node.x(2)
    axis = normal_axis(node.integer("axis", -1), rank)
    return one_hot(b, e.cast(b, node.x(0), DType.INT64), depth, values, axis)
