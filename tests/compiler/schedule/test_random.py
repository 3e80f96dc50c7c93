"""Random programs under random schedules: each primitive keeps the numbers, or refuses."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import te_fold
from te_convolution import Convolution, random_inputs, tensors
from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import (
    CacheRead,
    CacheWrite,
    ComputeAt,
    DecomposeReduction,
    Fuse,
    Inline,
    Parallel,
    Prefetch,
    Reorder,
    ReverseComputeAt,
    ReverseInline,
    RFactor,
    ScheduleError,
    SetScope,
    Split,
    SplitParts,
    StorageAlign,
    Tile,
    UnitLoop,
    VirtualThread,
)
from tilewright.compiler.schedule.nest import path_to
from tilewright.compiler.tir.buffer import Scope
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.stmt import Allocate, For, IterKind
from tilewright.compiler.tir.walk import blocks, loads, statements, variables

STEPS = 7


def random_array(shape, dtype, seed):
    rng = np.random.default_rng(seed)
    info = np.iinfo(dtype.numpy)
    return rng.integers(info.min, info.max, shape, dtype.numpy, endpoint=True)


@st.composite
def convolution(draw):
    """A convolution, with a pooling and an addition behind it."""
    small = st.integers(1, 2)
    rows = draw(st.sampled_from([2, 4]))
    conv = Convolution(
        height=draw(st.integers(3, 6)),
        width=draw(st.integers(3, 6)),
        blocks_in=draw(small),
        blocks_out=draw(small),
        kernel=draw(st.sampled_from([(1, 1), (2, 3), (3, 1)])),
        stride=(draw(small), draw(small)),
        dilation=(draw(small), 1),
        pad=(draw(st.integers(1, 2)), 2),
        lanes=4,
        rows=rows,
    )
    (x, w, params), out = tensors(conv)
    arrays = random_inputs(conv)
    inputs = [x, w, params]
    if draw(st.booleans()):
        out = pooled(out, draw(small))
    if draw(st.booleans()):
        other = te.placeholder(out.shape, DType.INT8, "other")
        arrays["other"] = random_array(out.shape, DType.INT8, 1)
        inputs.append(other)
        out = added(out, other)
    return te.lower("conv", inputs, [out]), arrays


def pooled(t, stride):
    """The maximum over windows of 2 × 2 that hang over the border, which counts as the lowest value."""
    blocks_, height, width, lanes = t.shape
    py, px = te.reduce_axis(2, "py"), te.reduce_axis(2, "px")

    def at(z, y, x, c):
        here_y, here_x = stride * y + py - 1, stride * x + px
        inside = te.both([here_y >= 0, here_x < width])
        return te.max_of(te.select(inside, t[z, here_y, here_x, c], -128), [py, px])

    return te.compute((blocks_, (height - 1) // stride + 1, (width - 1) // stride + 1, lanes), at, "pool")


def added(a, b):
    """Half of the sum, twice as stages of their own."""

    def at(z, y, x, c):
        return te.cast(a[z, y, x, c], DType.INT32) + te.cast(b[z, y, x, c], DType.INT32)

    total = te.compute(a.shape, at, "total")
    return te.compute(a.shape, lambda z, y, x, c: te.saturate(total[z, y, x, c] // 2, DType.INT8), "half")


@st.composite
def product(draw):
    """A product of matrices between stages that shift and add."""
    m, n, k = (draw(st.integers(1, 7)) for _ in range(3))
    a, b = te.placeholder((m, k), DType.INT32, "a"), te.placeholder((k, n), DType.INT32, "b")
    shifted = te.compute(
        (m + 2, k), lambda i, j: te.select(te.both([i >= 1, i <= m]), a[i - 1, j], 7), "shifted"
    )
    axis = te.reduce_axis(k, "k")
    dot = te.compute((m, n), lambda i, j: te.sum_of(shifted[i + 2, axis] * b[axis, j], axis), "dot")
    out = te.compute((m, n), lambda i, j: dot[i, j] + dot[i, 0] - shifted[i, 0], "out")
    arrays = {"a": random_array((m, k), DType.INT32, 2), "b": random_array((k, n), DType.INT32, 3)}
    return te.lower("product", [a, b], [out]), arrays


@st.composite
def fold(draw):
    """A fold of any kind, with or without predicate and init, between two stages."""
    kind = draw(st.sampled_from([*te_fold.OPERATORS, "place"]))
    size = st.integers(1, 7)
    function = te_fold.fold(kind, draw(size), draw(size), draw(st.booleans()), draw(st.booleans()))
    return function, te_fold.random_inputs(function)


@st.composite
def scan(draw):
    """Rows made of those before."""
    small = st.integers(1, 3)
    function = te_fold.scan(draw(small), draw(small), draw(st.integers(1, 2)))
    return function, te_fold.random_inputs(function)


def steps(function, number):
    """A strategy for a step that names what is there."""
    loops = [stmt.var.name for stmt in statements(function.body) if isinstance(stmt, For)]
    buffers = [stmt.buffer.name for stmt in statements(function.body) if isinstance(stmt, Allocate)]
    found = list(blocks(function.body))
    names = [block.name for block in found]
    reads = sorted({(block.name, load.buffer.name) for block in found for load in loads(block)})
    loop, block, new = st.sampled_from(loops), st.sampled_from(names), f"n{number}"
    pairs = producers(function, found) or [(found[0], found[0], loops[0], loops[0])]
    inner = st.sampled_from(list(pairwise(loops)) or [(loops[0], loops[0])])
    scope = st.sampled_from([Scope.ACTIVATION, Scope.LANE])
    kinds = [
        st.builds(Split, loop, st.integers(1, 5), st.just(f"{new}o"), st.just(f"{new}i")),
        st.lists(loop, min_size=2, max_size=4, unique=True).map(lambda names: Reorder(tuple(names))),
        inner.map(lambda pair: Reorder((pair[1], pair[0]))),
        inner.map(lambda pair: Fuse(*pair, new)),
        st.builds(ComputeAt, block, loop),
        st.sampled_from(pairs).map(lambda pair: ComputeAt(pair[0].name, pair[2])),
        st.sampled_from(pairs).map(lambda pair: ReverseComputeAt(pair[1].name, pair[3])),
        st.sampled_from(reads).flatmap(
            lambda read: st.builds(CacheRead, st.just(read[0]), st.just(read[1]), scope, st.just(new))
        ),
        st.builds(CacheWrite, block, scope, st.just(new)),
        st.builds(Inline, block),
        st.builds(VirtualThread, loop),
        st.builds(Parallel, loop),
        inner.map(lambda pair: Tile(*pair, 2, 3)),
        st.builds(SplitParts, loop, st.integers(1, 4), st.just(f"{new}o"), st.just(f"{new}i")),
        st.builds(UnitLoop, block, st.just(new)),
        st.sampled_from(pairs).map(lambda pair: ReverseInline(pair[1].name, pair[0].name)),
        st.sampled_from(pairs).map(lambda pair: Prefetch(pair[0].body.buffer.name, pair[2], 1)),
    ]
    folds = [(part.name, loop) for part in found for loop in folded_over(part)]
    if folds:
        kinds.append(st.sampled_from(folds).map(lambda pair: RFactor(*pair, new)))
        kinds.append(st.builds(RFactor, block, loop, st.just(new)))
        kinds.append(st.sampled_from(folds).map(lambda pair: DecomposeReduction(*pair, new)))
    if buffers:
        kinds.append(st.builds(SetScope, st.sampled_from(buffers), scope))
        kinds.append(st.builds(StorageAlign, st.sampled_from(buffers), st.just(0), st.just(8), st.just(1)))
    return st.one_of(kinds)


def folded_over(block):
    """The loops that a block folds over."""
    reduced = (it for it in block.iters if it.kind is IterKind.REDUCE)
    return sorted({name for it in reduced for name in variables(it.value)})


def producers(function, found):
    """Each block with one that reads what it writes, a loop of the reader and one of its own."""
    around = {
        block.name: [stmt.var.name for stmt in path_to(function.body, block) if isinstance(stmt, For)]
        for block in found
    }
    return [
        (writer, reader, ahead, behind)
        for writer in found
        for reader in found
        if reader is not writer and any(load.buffer == writer.body.buffer for load in loads(reader))
        for ahead in around[reader.name]
        for behind in around[writer.name]
    ]


PROGRAMS = {
    "convolution": (convolution(), 15),
    "product": (product(), 20),
    "fold": (fold(), 50),
    "scan": (scan(), 25),
}
"""How many cases of each; one of the first takes as long as several of the others."""


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_primitive_keeps_the_numbers_or_refuses(name):
    program, cases = PROGRAMS[name]

    @settings(max_examples=cases)
    @given(st.data())
    def check(data):
        function, arrays = data.draw(program)
        expected = run(function, arrays)
        done = []
        for number in range(STEPS):
            step = data.draw(steps(function, number))
            try:
                function = schedule.apply(function, [step])
            except ScheduleError:
                continue
            done.append(step)
        for output, array in run(function, arrays).items():
            np.testing.assert_array_equal(array, expected[output], err_msg=schedule.print_schedule(done))
        assert schedule.parse_schedule(schedule.print_schedule(done)) == tuple(done)

    check()
