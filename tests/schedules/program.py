"""Random tensor programs: small, of 32-bit integers (reduced in any order) and 8-bit ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests import te_reduction
from tests.te_convolution import Convolution, random_inputs, tensors

from tilewright.compiler import te
from tilewright.compiler.dtype import DType
from tilewright.compiler.te import Tensor
from tilewright.compiler.tir.expr import Expr

INT32 = DType.INT32


@dataclass(frozen=True)
class Program:
    """Tensors, and arrays for the inputs by name."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    arrays: dict[str, NDArray[Any]]


def _numbers(random: Random, shape: Sequence[int], dtype: DType, low: int, high: int) -> NDArray[Any]:
    rng = np.random.default_rng(random.getrandbits(32))
    return rng.integers(low, high, tuple(shape), dtype.numpy, endpoint=True)


def convolution(random: Random) -> Program:
    """A quantised convolution, with a pooling and an addition behind it."""
    small = (1, 2)
    conv = Convolution(
        height=random.randint(3, 5),
        width=random.randint(3, 5),
        blocks_in=random.choice(small),
        blocks_out=random.choice(small),
        kernel=random.choice([(1, 1), (2, 3), (3, 1)]),
        stride=(random.choice(small), random.choice(small)),
        dilation=(random.choice(small), 1),
        pad=(random.choice(small), 2),
        lanes=4,
        rows=random.choice([2, 4]),
    )
    inputs, out = tensors(conv)
    arrays = dict(random_inputs(conv))
    if random.random() < 0.5:
        out = _pooled(out, random.choice(small))
    if random.random() < 0.5:
        other = te.placeholder(out.shape, DType.INT8, "other")
        arrays["other"] = _numbers(random, out.shape, DType.INT8, -128, 127)
        return Program((*inputs, other), (_added(out, other),), arrays)
    return Program(tuple(inputs), (out,), arrays)


def _pooled(t: Tensor, stride: int) -> Tensor:
    """The maximum over windows of 2 × 2 that hang over the border, which counts as the lowest value."""
    blocks_, height, width, lanes = t.shape
    py, px = te.reduce_axis(2, "py"), te.reduce_axis(2, "px")

    def at(z: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
        here_y, here_x = stride * y + py - 1, stride * x + px
        inside = te.both([here_y >= 0, here_x < width])
        return te.max_of(te.select(inside, t[z, here_y, here_x, c], -128), [py, px])

    return te.compute((blocks_, (height - 1) // stride + 1, (width - 1) // stride + 1, lanes), at, "pool")


def _added(a: Tensor, b: Tensor) -> Tensor:
    """Half of the sum, as stages of their own."""

    def at(z: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
        return te.cast(a[z, y, x, c], INT32) + te.cast(b[z, y, x, c], INT32)

    total = te.compute(a.shape, at, "total")
    return te.compute(a.shape, lambda z, y, x, c: te.saturate(total[z, y, x, c] // 2, DType.INT8), "half")


def product(random: Random) -> Program:
    """A product of matrices between stages that shift and add."""
    m, n, k = (random.randint(1, 7) for _ in range(3))
    a, b = te.placeholder((m, k), INT32, "a"), te.placeholder((k, n), INT32, "b")
    shifted = te.compute(
        (m + 2, k), lambda i, j: te.select(te.both([i >= 1, i <= m]), a[i - 1, j], 7), "shifted"
    )
    axis = te.reduce_axis(k, "k")
    dot = te.compute((m, n), lambda i, j: te.sum_of(shifted[i + 2, axis] * b[axis, j], axis), "dot")
    out = te.compute((m, n), lambda i, j: dot[i, j] + dot[i, 0] - shifted[i, 0], "out")
    arrays = {"a": _numbers(random, (m, k), INT32, -1 << 31, (1 << 31) - 1)}
    arrays["b"] = _numbers(random, (k, n), INT32, -1 << 31, (1 << 31) - 1)
    return Program((a, b), (out,), arrays)


def scan(random: Random) -> Program:
    """Rows made of those before, by a stage between and one that sums a row."""
    inputs, outputs = te_reduction.scan_tensors(
        random.randint(1, 3), random.randint(1, 3), random.randint(1, 2)
    )
    arrays = {tensor.name: _numbers(random, tensor.shape, INT32, -5, 5) for tensor in inputs}
    return Program(inputs, outputs, arrays)


def chain(random: Random) -> Program:
    """Two to five stages, each of any kind, over what there is; what nothing reads is an output."""
    shape = (random.randint(1, 6), random.randint(1, 6))
    x, start = te.placeholder(shape, INT32, "x"), te.placeholder((6,), INT32, "start")
    there: list[Tensor] = [x]
    read: set[Tensor] = set()
    for number in range(random.randint(2, 5)):
        recent = there[-3:] if random.random() < 0.8 else there
        source = random.choice(recent)
        kind = random.choice([kind for kind, ranks in _RANKS.items() if len(source.shape) in ranks])
        made, used = _STAGES[kind](random, source, [*there, start], f"s{number}")
        read |= set(used)
        there += made
    outputs = tuple(tensor for tensor in there if tensor not in read and tensor is not x)
    arrays = {"x": _numbers(random, shape, INT32, -9, 9), "start": _numbers(random, (6,), INT32, -9, 9)}
    return Program((x, start), outputs, arrays)


_Made = tuple[list[Tensor], list[Tensor]]
"""The tensors of a stage, and those that it reads."""
_Stage = Callable[[Random, Tensor, list[Tensor], str], _Made]


def _result(made: Tensor | tuple[Tensor, ...], *read: Tensor) -> _Made:
    return list(made if isinstance(made, tuple) else (made,)), list(read)


def _computed(shape: Sequence[int], at: Callable[[tuple[Expr, ...]], Any], name: str) -> Any:
    """te.compute with all axes in one tuple: i, j as far as there are."""
    functions: list[Callable[..., Any]] = [
        lambda: at(()),
        lambda i: at((i,)),
        lambda i, j: at((i, j)),
    ]
    return te.compute(shape, functions[len(shape)], name)


def _pointwise(random: Random, t: Tensor, there: list[Tensor], name: str) -> _Made:
    factor, more = random.randint(-3, 3), random.randint(-9, 9)
    return _result(_computed(t.shape, lambda at: t[at] * factor + more, name), t)


def _two(random: Random, t: Tensor, there: list[Tensor], name: str) -> _Made:
    other = random.choice([u for u in there if u.shape == t.shape] or [t])
    made = _computed(t.shape, lambda at: te.maximum(t[at], other[at]) - other[at] * 2, name)
    return _result(made, t, other)


def _window(random: Random, t: Tensor, there: list[Tensor], name: str) -> _Made:
    """With the element before, where there is one, or the last one behind."""
    axis, back = random.randrange(len(t.shape)), random.randint(1, 2)
    guarded, last = random.random() < 0.5, t.shape[axis] - 1

    def at(here: tuple[Expr, ...]) -> Expr:
        before = tuple(e - back if n == axis else e for n, e in enumerate(here))
        behind = tuple(te.minimum(e + back, last) if n == axis else e for n, e in enumerate(here))
        other = te.select(here[axis] >= back, t[before], 4) if guarded else t[behind]
        return t[here] + other * 3

    return _result(_computed(t.shape, at, name), t)


def _turned(random: Random, t: Tensor, there: list[Tensor], name: str) -> _Made:
    return _result(_computed(t.shape[::-1], lambda at: t[at[::-1]] - 1, name), t)


def _stretched(random: Random, t: Tensor, there: list[Tensor], name: str) -> _Made:
    """Elements twice, or every other one, or in turns."""
    length, kind = t.shape[0], random.randrange(3)
    size = (2 * length - 1, (length + 1) // 2, length + 2)[kind]

    def at(here: tuple[Expr, ...]) -> Expr:
        first = (here[0] // 2, here[0] * 2, here[0] % length)[kind]
        return t[(first, *here[1:])] + te.cast(here[0], INT32)

    return _result(_computed((size, *t.shape[1:]), at, name), t)


def _spread(random: Random, t: Tensor, there: list[Tensor], name: str) -> _Made:
    width = random.randint(1, 5)
    return _result(_computed((*t.shape, width), lambda at: t[at[:-1]] * te.cast(at[-1] + 1, INT32), name), t)


def _pair(random: Random, t: Tensor, there: list[Tensor], name: str) -> _Made:
    made = _computed(t.shape, lambda at: (t[at] // 3, t[at] % 3 + te.cast(at[0], INT32)), name)
    return _result(made, t)


def _reduced(random: Random, t: Tensor, there: list[Tensor], name: str) -> _Made:
    """Over the last axis or over all, by an operator or a reducer of tuples, where odd, from a start."""
    kind = random.choice([*te_reduction.OPERATORS, "place", "place"])
    kept = () if random.random() < 0.2 else t.shape[:-1]
    axes = [te.reduce_axis(extent, f"k{n}") for n, extent in enumerate(t.shape[len(kept) :])]
    guarded, start = random.random() < 0.5, there[-1]
    started = random.random() < 0.5 and len(kept) < 2 and all(extent <= 6 for extent in kept)

    def at(here: tuple[Expr, ...]) -> Any:
        value = t[(*here, *axes)]
        where = (value % 2).equal(1) if guarded else None
        init = start[here[0] if here else te.constant(0, DType.INT64)] if started else None
        if kind != "place":
            return te_reduction.OPERATORS[kind](value, axes, where=where, init=init)
        place = te.cast(sum((a * 7**n for n, a in enumerate(axes[1:], 1)), axes[0] * 1), INT32)
        first = None if init is None else (init * 0 + 40, init)
        return te_reduction.FIRST_MAXIMUM((place, value), axes, where=where, init=first)

    return _result(_computed(kept, at, name), t, *([start] if started else []))


_STAGES: dict[str, _Stage] = {
    "pointwise": _pointwise,
    "two": _two,
    "window": _window,
    "turned": _turned,
    "stretched": _stretched,
    "spread": _spread,
    "pair": _pair,
    "reduced": _reduced,
    "reduced again": _reduced,
}
_RANKS = {
    "pointwise": (0, 1, 2),
    "two": (1, 2),
    "window": (1, 2),
    "turned": (2,),
    "stretched": (1, 2),
    "spread": (0, 1),
    "pair": (1, 2),
    "reduced": (1, 2),
    "reduced again": (1, 2),
}
"""Of what ranks the source may be."""


@te.hybrid
def _walked(x, limit, back):
    """Sums along rows until they leave the limits; then the first places where that was."""
    rows, columns = x.shape
    out = te.output((rows, columns), np.int32)
    place = te.output(rows, np.int64)
    for i in range(rows):
        total = np.int32(0)
        for j in range(columns):
            total += x[i, j] * (1 if j < back else out[i, j - back] % 3)
            out[i, j] = total if -limit < total < limit else 0
            if total % 2 == 0:
                continue
            out[i, j] += 1
        at = 0
        while at < columns:
            if out[i, at] == 0:
                break
            at += 1
        place[i] = at
        for j in range(columns - 1, at, -1):
            out[i, j] = max(out[i, j], out[i, j - 1])
    return out, place


def walk(random: Random) -> Program:
    """A Python function between stages."""
    shape = (random.randint(1, 5), random.randint(1, 5))
    x = te.placeholder(shape, INT32, "x")
    more = te.compute(shape, lambda i, j: x[i, j] + 1, "more")
    out, place = _walked(more, random.randint(1, 30), random.randint(1, 3), name="walk")
    twice = te.compute(shape, lambda i, j: out[i, j] * 2 + more[i, j], "twice")
    k = te.reduce_axis(shape[1], "k")
    most = te.compute(shape[:1], lambda i: te.max_of(twice[i, k], k), "most")
    total = te.compute(shape[:1], lambda i: most[i] - te.cast(place[i], INT32), "total")
    return Program((x,), (total,), {"x": _numbers(random, shape, INT32, -9, 9)})


INT64 = DType.INT64
_EXTREMES = (
    -1 << 63,
    1 - (1 << 63),
    -1 << 62,
    -1 << 31,
    -1,
    0,
    1,
    1 << 31,
    1 << 62,
    (1 << 63) - 2,
    (1 << 63) - 1,
)
_REALS = (
    0.0,
    -0.5,
    1.5,
    127.6,
    -128.4,
    128.0,
    256.0,
    2.0**31,
    -(2.0**31),
    1e10,
    2.0**63,
    -1e30,
    np.inf,
    -np.inf,
    np.nan,
)
_INTEGERS = (DType.INT8, DType.UINT8, DType.INT16, DType.INT32, INT64)


def _extreme(random: Random, a: Expr, b: Expr) -> Expr:
    """Sums, quotients and choices of int64 data, which overflow."""
    factor, more, divisor = random.randint(-4, 4), random.choice(_EXTREMES[3:8]), random.randint(1, 5)
    return random.choice(
        [
            lambda: (a * factor + more) // divisor,
            lambda: (a * divisor + b) % divisor,
            lambda: te.minimum(a, a + divisor) - te.maximum(b - divisor, b),
            lambda: te.select(a + divisor > a, a - b, b * divisor - a),
            lambda: te.select((a * 2).equal(b + a), a, b + 1),
            lambda: (a + b - a) * divisor // divisor,
        ]
    )()


def _overflown(random: Random, a: Tensor, b: Tensor, name: str) -> Tensor:
    return te.compute(a.shape, lambda i, j: _extreme(random, a[i, j], b[i, j]), name)


def wide(random: Random) -> Program:
    """int64 data at the ends of their range, through stages that overflow, reduced at last."""
    shape = (random.randint(1, 5), random.randint(1, 5))
    # The simplifier orders terms by name, and results are named r….
    x, y = (te.placeholder(shape, INT64, name) for name in random.choice([("a", "z"), ("y", "b")]))
    there = [x, y]
    for number in range(random.randint(1, 3)):
        there.append(_overflown(random, random.choice(there[-2:]), random.choice(there), f"r{number}"))
    k = te.reduce_axis(shape[1], "k")
    last = there[-1]
    total = te.compute(shape[:1], lambda i: te.sum_of(last[i, k] * 3 + y[i, k], k), "rows")
    arrays = {
        each.name: np.array(random.choices(_EXTREMES, k=shape[0] * shape[1])).reshape(shape)
        for each in (x, y)
    }
    outputs = [stage for stage in there[2:] if stage is not last]
    return Program((x, y), (total, *_unread(outputs, [last, total])), arrays)


def _unread(tensors: Sequence[Tensor], readers: Sequence[Tensor]) -> list[Tensor]:
    """Those that none of the others, nor of the readers, reads."""
    read = {each for reader in (*tensors, *readers) for each in reader.stage.inputs}
    return [tensor for tensor in tensors if tensor not in read]


def conversion(random: Random) -> Program:
    """Floats, many beyond any integer, as integers and back."""
    shape = (random.randint(1, 5), random.randint(1, 9))
    real = random.choice([DType.FLOAT32, DType.FLOAT64])
    x = te.placeholder(shape, real, "x")
    first, second = random.choice(_INTEGERS), random.choice(_INTEGERS)
    whole = te.compute(shape, lambda i, j: te.cast(x[i, j], first), "whole")
    again = te.compute(shape, lambda i, j: te.cast(te.cast(whole[i, j], real) * 3.0, second), "again")
    k = te.reduce_axis(shape[1], "k")
    total = te.compute(shape[:1], lambda i: te.sum_of(te.cast(again[i, k], INT64), k), "total")
    values = np.array(random.choices(_REALS, k=shape[0] * shape[1]), real.numpy).reshape(shape)
    return Program((x,), (total,), {"x": values})


PROGRAMS: dict[str, tuple[Callable[[Random], Program], int]] = {
    "convolution": (convolution, 1),
    "product": (product, 2),
    "chain": (chain, 10),
    "scan": (scan, 3),
    "walk": (walk, 1),
    "wide": (wide, 3),
    "conversion": (conversion, 2),
}
"""How each kind is drawn, and how often beside the others."""
