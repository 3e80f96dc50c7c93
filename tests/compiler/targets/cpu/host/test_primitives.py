"""Each primitive as compiled code, over element types and shapes: what the interpreter computes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compiler.targets.cpu.host.compiled import check_operator, values

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.size import SizeName
from tilewright.compiler.ops.primitive.argsort import ArgSort
from tilewright.compiler.ops.primitive.assume import Assume
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.cast import Cast
from tilewright.compiler.ops.primitive.concat import Concat
from tilewright.compiler.ops.primitive.conv import Conv
from tilewright.compiler.ops.primitive.cumulative import CumulativeSum
from tilewright.compiler.ops.primitive.dilate import Dilate
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.ops.primitive.extent import Extent
from tilewright.compiler.ops.primitive.gather import Gather, ScatterAdd
from tilewright.compiler.ops.primitive.gather_elements import REDUCTIONS, GatherElements, ScatterElements
from tilewright.compiler.ops.primitive.iota import Iota
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.nonzero import NonZero
from tilewright.compiler.ops.primitive.pad import Pad
from tilewright.compiler.ops.primitive.reduce import FUNCTIONS, Reduce
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.scalar import SCALARS
from tilewright.compiler.ops.primitive.slice import Slice
from tilewright.compiler.ops.primitive.transpose import Transpose
from tilewright.compiler.ops.primitive.window import ReduceWindow

NUMBERS = [dtype for dtype in DType if dtype is not DType.BOOL]
TYPES = st.sampled_from(list(DType))
SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
SEEDS = st.integers(0, 99).map(np.random.default_rng)
FEW = settings(max_examples=8, deadline=None)
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-30, 65504, -3.5]


@pytest.mark.parametrize("name", list(SCALARS))
def test_scalar_functions_on_every_element_type(name):
    rng, row = np.random.default_rng(3), SCALARS[name]
    for dtype in filter(row.takes, DType):
        arrays = [values(rng, dtype, 3, 9) for _ in range(row.arity)]
        if name == "select":
            arrays[0] = values(rng, DType.BOOL, 3, 9)
        elif name in ("pow", "shift_left", "shift_right"):
            arrays[1] = np.abs(arrays[1])
        if dtype.is_float and name not in ("sin", "cos", "tan", "sinh", "cosh"):
            arrays[-1][0, :8] = SPECIAL
        check_operator(Map(name), *arrays)


@pytest.mark.parametrize("old", list(DType))
def test_casts_between_all_element_types(old):
    rng = np.random.default_rng(5)
    array = values(rng, old, 4, 8)
    if old.is_float:
        array[0] = SPECIAL
        array[1] *= 1000
    elif old is not DType.BOOL:
        array[0, :2] = np.iinfo(old.numpy).min, np.iinfo(old.numpy).max
    for new in DType:
        check_operator(Cast(new), array)


@FEW
@given(SEEDS, TYPES, SHAPES, st.data())
def test_elements_that_move(rng, dtype, shape, data):
    x, rank = values(rng, dtype, *shape), len(shape)
    axis = data.draw(st.integers(0, rank - 1))
    check_operator(Transpose(tuple(data.draw(st.permutations(range(rank))))), x)
    check_operator(Reshape((1, x.size)), x)
    check_operator(Reshape((*shape[:1], 1, *shape[1:])), x)
    check_operator(Assume(shape), x)
    check_operator(Extent(axis), x)
    check_operator(Dilate(axis, data.draw(st.integers(1, 3))), x)
    check_operator(Broadcast((2, *shape), tuple(range(1, rank + 1))), x)
    low, high = ([data.draw(st.integers(0, 2)) for _ in shape] for _ in range(2))
    check_operator(Pad(tuple(low), tuple(high)), x, values(rng, dtype))
    starts = tuple(data.draw(st.integers(0, size - 1)) for size in shape)
    forward = data.draw(st.booleans())
    stops = shape if forward else (-1,) * rank
    check_operator(Slice(starts, stops, (2 if forward else -1,) * rank), x)
    other = values(rng, dtype, *shape[:axis], 2, *shape[axis + 1 :])
    check_operator(Concat(axis), x, other, x)


@FEW
@given(SEEDS, TYPES, SHAPES, st.data())
def test_elements_by_index(rng, dtype, shape, data):
    x, rank = values(rng, dtype, *shape), len(shape)
    axis = data.draw(st.integers(0, rank - 1))
    size = shape[axis]
    taken = rng.integers(-size, size, (2, 3))
    check_operator(Gather(axis), x, taken)
    places = rng.integers(-size, size, (*shape[:axis], 3, *shape[axis + 1 :]))
    check_operator(GatherElements(axis), x, places)
    if dtype is not DType.BOOL:
        updates = values(rng, dtype, *shape[:axis], 2, 3, *shape[axis + 1 :])
        check_operator(ScatterAdd(axis), x, taken, updates)
        for reduction in REDUCTIONS:
            check_operator(ScatterElements(axis, reduction), x, places, values(rng, dtype, *places.shape))


@FEW
@given(SEEDS, TYPES, SHAPES, st.data())
def test_elements_in_an_order(rng, dtype, shape, data):
    x = values(rng, dtype, *shape, 7)
    if dtype.is_float:
        x.flat[0] = np.nan
    axis = data.draw(st.integers(0, len(shape)))
    for descending in (False, True):
        check_operator(ArgSort(axis, descending), x)
    check_operator(NonZero(SizeName("found")), np.nan_to_num(x))
    if dtype is not DType.BOOL:
        for exclusive in (False, True):
            check_operator(CumulativeSum(axis, exclusive, descending), np.nan_to_num(x))
        check_operator(Iota(dtype, shape, 0))


@FEW
@given(SEEDS, TYPES, SHAPES, st.data())
def test_reductions(rng, dtype, shape, data):
    x = values(rng, dtype, *shape, 5)
    if data.draw(st.booleans()) and dtype.is_float:
        x.flat[1] = np.nan
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape)), min_size=1))))
    for function in FUNCTIONS:
        if dtype is not DType.BOOL or function in ("max", "min"):
            check_operator(Reduce(function, axes), x)


@FEW
@given(SEEDS, st.sampled_from(NUMBERS), st.data())
def test_windows(rng, dtype, data):
    rank = data.draw(st.integers(1, 3))
    x = values(rng, dtype, 2, 3, *[6] * rank)
    kernel, strides, dilations = ([data.draw(st.integers(1, 2)) for _ in range(rank)] for _ in range(3))
    pads = [data.draw(st.integers(0, 1)) for _ in range(2 * rank)]
    for function in ("sum", "max", "min"):
        check_operator(ReduceWindow(function, *map(tuple, (kernel, strides, pads, dilations))), x)


@FEW
@given(SEEDS, st.sampled_from(NUMBERS), st.data())
def test_convolutions(rng, dtype, data):
    rank, groups = data.draw(st.integers(1, 3)), data.draw(st.sampled_from([1, 1, 2, 4]))
    kernel, strides, dilations = ([data.draw(st.integers(1, 3)) for _ in range(rank)] for _ in range(3))
    pads = [data.draw(st.integers(0, 2)) for _ in range(2 * rank)]
    x = values(rng, dtype, data.draw(st.integers(1, 2)), 4, *[7] * rank)
    w = values(rng, dtype, 4 * data.draw(st.integers(1, 9)), 4 // groups, *kernel)
    check_operator(Conv(*map(tuple, (strides, pads, dilations)), groups), x, w)


@FEW
@given(SEEDS, st.sampled_from(NUMBERS), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_products(rng, dtype, rows, depth, columns):
    a, b = values(rng, dtype, rows, depth), values(rng, dtype, depth, columns)
    check_operator(Dot((1,), (0,)), a, b)
    check_operator(Dot((0,), (1,)), a.T.copy(), b.T.copy())
    batch = values(rng, dtype, 3, depth, columns)
    check_operator(Dot((1,), (1,), (2,), (0,)), values(rng, dtype, rows, depth, 3), batch)


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.INT8])
def test_tensors_without_elements(dtype):
    rng = np.random.default_rng(1)
    nothing, some = values(rng, dtype, 0, 3), values(rng, dtype, 2, 3)
    check_operator(Transpose((1, 0)), nothing)
    check_operator(Concat(0), nothing, some, nothing)
    check_operator(Pad((1, 0), (1, 2)), nothing, values(rng, dtype))
    for function in FUNCTIONS:
        check_operator(Reduce(function, (0,)), nothing)
    check_operator(Dot((0,), (0,)), nothing, nothing)
    check_operator(Gather(0), some, np.zeros((0,), np.int64))
    check_operator(ScatterAdd(0), some, np.zeros((0,), np.int64), nothing)
    check_operator(NonZero(SizeName("found")), nothing)
    check_operator(NonZero(SizeName("found")), np.zeros_like(some))
    check_operator(CumulativeSum(0), nothing)
    check_operator(ArgSort(0), nothing)
