"""Random functions of the IR: every kind of equation that passes look at, with regions, on small tensors."""

import numpy as np
from hypothesis import strategies as st

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn import activation
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.cast import Cast
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.transpose import Transpose

F32, I32, I8, BOOL = DType.FLOAT32, DType.INT32, DType.INT8, DType.BOOL
TYPES = (F32, I32, I8)
SIZES = {"n": 2, "m": 3}


@st.composite
def functions(draw, symbolic=False, steps=12):
    """A function of two tensors, named sizes among theirs if so wished, with all its values as results."""
    b = Builder("main")
    sizes = [Size.of("n"), Size.of("m")] if symbolic else [2, 3]
    shapes = [tuple(sizes), (sizes[0], 1, 4)]
    pool = [
        b.parameter(f"x{place}", TensorType(draw(st.sampled_from(TYPES)), shape))
        for place, shape in enumerate(shapes)
    ]
    for number in range(draw(st.integers(1, steps))):
        with b.label(f"node{number}"):
            pool.append(_step(draw, b, pool, depth=0))
    chosen = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=3))
    return b.function(*chosen)


def _step(draw, b, pool, depth):
    x = draw(st.sampled_from(pool))
    kinds = [_constant, _found, _number, _binary, _unary, _move, _same_move, _cast, _reduce, _extent]
    if depth < 2:
        kinds += [_choice, _loop]
    return draw(st.sampled_from(kinds))(draw, b, pool, x, depth)


def _constant(draw, b, pool, x, depth):
    shape = draw(st.sampled_from([(), (1,), (3,), (2, 3)]))
    values = draw(st.lists(st.integers(-3, 3), min_size=6, max_size=6))
    array = np.array(values)[: int(np.prod(shape))].reshape(shape)
    return b.constant(array, draw(st.sampled_from(TYPES)))


def _found(draw, b, pool, x, depth):
    """As many ones as an element is not 0: a size that data tell."""
    places = e.nonzero(b, x)
    size = places.type.shape[1]
    shown = draw(st.booleans())
    return e.cast(b, e.iota(b, DType.INT64, (size,), 0), I32) if shown else places


def _number(draw, b, pool, x, depth):
    """An operation with a number that often changes nothing, broadcast by hand so that nothing is folded."""
    number = b.constant(draw(st.sampled_from([0, 1, 2])), x.type.dtype)
    wide = b.emit(Broadcast(x.type.shape, ()), number)
    function = draw(st.sampled_from(["add", "sub", "mul"]))
    turned = draw(st.booleans())
    return e.apply(b, function, wide, x) if turned else e.apply(b, function, x, wide)


def _binary(draw, b, pool, x, depth):
    alike = [y for y in pool if y.type == x.type]
    return e.apply(
        b, draw(st.sampled_from(["add", "sub", "mul", "max", "min"])), x, draw(st.sampled_from(alike))
    )


def _unary(draw, b, pool, x, depth):
    if x.type.dtype is F32 and draw(st.booleans()):
        return draw(st.sampled_from([e.tanh, e.relu, activation.gelu]))(b, x)
    return e.apply(b, draw(st.sampled_from(["neg", "abs", "sign"])), x)


def _move(draw, b, pool, x, depth):
    kind = draw(st.sampled_from(["transpose", "reshape", "broadcast"]))
    rank = x.type.rank
    if kind == "transpose" and rank:
        return b.emit(Transpose(tuple(draw(st.permutations(range(rank))))), x)
    if kind == "reshape" and rank < 4:
        return e.reshape(b, x, draw(st.sampled_from([(*x.type.shape, 1), (1, *x.type.shape)])))
    lead = 2 if rank < 4 else 1
    return b.emit(Broadcast((lead, *x.type.shape), tuple(range(1, rank + 1))), x) if rank < 5 else x


def _same_move(draw, b, pool, x, depth):
    """What changes nothing."""
    rank = x.type.rank
    operators = [Cast(x.type.dtype), Reshape(x.type.shape), Broadcast(x.type.shape, tuple(range(rank)))]
    return b.emit(draw(st.sampled_from([*operators, Transpose(tuple(range(rank)))])), x)


def _cast(draw, b, pool, x, depth):
    return b.emit(Cast(draw(st.sampled_from([*TYPES, DType.FLOAT64, DType.INT16]))), x)


def _reduce(draw, b, pool, x, depth):
    if not x.type.rank:
        return e.neg(b, x)
    return e.reduce_max(b, x, (draw(st.integers(0, x.type.rank - 1)),), keep=draw(st.booleans()))


def _extent(draw, b, pool, x, depth):
    if not x.type.rank:
        return e.neg(b, x)
    return e.cast(b, e.extent(b, x, draw(st.integers(0, x.type.rank - 1))), I32)


def _choice(draw, b, pool, x, depth):
    known = draw(st.sampled_from([None, True, False]))
    condition = b.constant(known) if known is not None else _is_positive(b, x)
    branches = []
    for _ in range(2):
        # Drawn now: the builder traces each branch once.
        plan = draw(st.integers(0, 2))
        branches.append(plan)

    def branch(plan):
        def body(inner):
            y = x
            for _ in range(plan):
                y = _again(draw, inner, y, depth)
            return [y]

        return body

    (result,) = e.if_(b, condition, branch(branches[0]), branch(branches[1]))
    return result


def _again(draw, b, y, depth):
    """An equation that keeps the type."""
    kind = draw(st.sampled_from([_number, _unary, _same_move]))
    return kind(draw, b, [y], y, depth + 1)


def _is_positive(b, x):
    total = e.reduce_max(b, x, None) if x.type.rank else x
    return e.less(b, 0, total)


def _loop(draw, b, pool, x, depth):
    """A sum over the leading axis, elements changed on the way."""
    if not x.type.rank:
        return e.neg(b, x)
    start = e.full(b, 0, x.type.dtype, x.type.shape[1:])
    plan = draw(st.integers(0, 2))

    def body(inner, total, each):
        for _ in range(plan):
            each = _again(draw, inner, each, depth)
        return [e.add(inner, total, each), each]

    return e.scan(b, [start], [x], body, reverse=draw(st.booleans()))[draw(st.integers(0, 1))]


def arrays_for(function, seed):
    """Arrays for its parameters: small whole numbers, halves among the floats."""
    rng = np.random.default_rng(seed)
    found = []
    for value in function.parameters:
        tensor = value.type.evaluate(SIZES)
        array = rng.integers(-3, 4, tensor.numbers).astype(tensor.dtype.numpy)
        found.append(array / tensor.dtype.numpy.type(2) if tensor.dtype.is_float else array)
    return found
