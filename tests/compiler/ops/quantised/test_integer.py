"""Integer operators are their formulas, in whole numbers, element by element."""

import itertools

import numpy as np
import pytest

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.error import OperatorError
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.qadd import QAdd
from tilewright.compiler.ops.quantised.qaverage_pool2d import QAveragePool2d
from tilewright.compiler.ops.quantised.qconcat import QConcat
from tilewright.compiler.ops.quantised.qconv2d import QConv2d, QConv2dTable
from tilewright.compiler.ops.quantised.qgather import QGather
from tilewright.compiler.ops.quantised.qlookup import QLookup
from tilewright.compiler.ops.quantised.qmax_pool2d import QMaxPool2d
from tilewright.compiler.ops.quantised.qmul import QMul
from tilewright.compiler.ops.quantised.qpad2d import QPad2d
from tilewright.compiler.ops.quantised.window import Window
from tilewright.compiler.ops.registry import operators
from tilewright.numerics.requantise import pack_scale, unpack_scale

N = Size.of("n")


def finish(t, word, zero_point, lo, hi):
    """The end of every integer operator, in Python's integers."""
    m, pre = (int(part) for part in unpack_scale(np.int32(word)))
    t = max(-(2**31), min(2**31 - 1, t))
    x = t << -pre if pre <= 0 else (2 * t + (1 << pre)) // (2 << pre)
    x = max(-131072, min(131071, x))
    return max(lo, min(hi, ((x * m + (1 << 24)) >> 25) + zero_point))


def int8(rng, *shape):
    return rng.integers(-128, 128, shape).astype(np.int8)


def words(rng, *shape):
    return pack_scale(rng.integers(1 << 16, 1 << 17, shape), rng.integers(1, 7, shape))


def sums(x, weight, operator):
    """Convolution by loops: a dictionary from (n, o, row, column)."""
    top, left, bottom, right = operator.pads
    height = (
        x.shape[2] + top + bottom - (weight.shape[2] - 1) * operator.dilations[0] - 1
    ) // operator.strides[0]
    width = (
        x.shape[3] + left + right - (weight.shape[3] - 1) * operator.dilations[1] - 1
    ) // operator.strides[1]
    result = {}
    for n, o, row, column in itertools.product(*map(range, (len(x), len(weight), height + 1, width + 1))):
        total = 0
        for i, kr, kc in itertools.product(*map(range, weight.shape[1:])):
            channel = o * operator.groups // len(weight) * weight.shape[1] + i
            r = row * operator.strides[0] + kr * operator.dilations[0] - top
            c = column * operator.strides[1] + kc * operator.dilations[1] - left
            inside = 0 <= r < x.shape[2] and 0 <= c < x.shape[3]
            value = int(x[n, channel, r, c]) if inside else operator.input_zero_point
            total += value * int(weight[o, i, kr, kc])
        result[n, o, row, column] = total
    return result


CONVOLUTIONS = [
    QConv2d((1, 1), (0, 0, 0, 0), (1, 1), 1, 5, -3, -128, 127),
    QConv2d((2, 1), (1, 0, 2, 1), (1, 2), 1, -128, -128, -128, 127),
    QConv2d((1, 2), (1, 1, 1, 1), (1, 1), 3, 7, 10, -20, 90),
    QConv2d((2, 2), (2, 2, 0, 1), (2, 1), 3, 100, 0, -128, 127),
]


@pytest.mark.parametrize("operator", CONVOLUTIONS)
def test_a_convolution_is_its_formula(operator):
    rng = np.random.default_rng(1)
    x, outputs = int8(rng, 2, 3, 6, 5), 3 if operator.groups > 1 else 4
    weight = int8(rng, outputs, 3 // operator.groups, 3, 2)
    bias = rng.integers(-5000, 5000, outputs).astype(np.int32)
    scale = words(rng, outputs)
    (y,) = operator.run(x, weight, bias, scale)
    expected = sums(x, weight, operator)
    assert y.shape == tuple(size + 1 for size in max(expected))
    assert y.dtype == np.int8
    for index, t in expected.items():
        o = index[1]
        ends = (operator.zero_point, operator.lo, operator.hi)
        assert y[index] == finish(t + int(bias[o]), scale[o], *ends), index


@pytest.mark.parametrize(
    ("groups", "outputs"), [(2, 6), (3, 9), (6, 12)], ids=["halves", "widened", "multiplied"]
)
def test_groups_of_a_convolution_see_their_own_channels(groups, outputs):
    rng = np.random.default_rng(7)
    operator = QConv2d((2, 1), (1, 0, 0, 1), (1, 1), groups, -40, -3, -128, 127)
    x, weight = int8(rng, 2, 6, 5, 4), int8(rng, outputs, 6 // groups, 3, 2)
    bias, scale = rng.integers(-5000, 5000, outputs).astype(np.int32), words(rng, outputs)
    (y,) = operator.run(x, weight, bias, scale)
    for index, t in sums(x, weight, operator).items():
        assert y[index] == finish(t + int(bias[index[1]]), scale[index[1]], -3, -128, 127), index


MOVES = {
    "channels": (QConcat(1), (3, 5), lambda a, b: np.concatenate([a, b], 1)),
    "rows": (QConcat(2), (3, 3), lambda a, b: np.concatenate([a, b], 2)),
    "columns": (QConcat(3), (3, 3), lambda a, b: np.concatenate([a, b], 3)),
    "filled channels": (
        QConcat(1, 4),
        (3, 5),
        lambda a, b: np.concatenate([a, np.zeros_like(a[:, :1]), b], 1),
    ),
    "order": (QGather((2, 0, 0)), (3,), lambda a: np.stack([a[:, 2], a[:, 0], a[:, 0]], 1)),
    "filled order": (
        QGather((1, -1), -7),
        (3,),
        lambda a: np.stack([a[:, 1], np.full_like(a[:, 0], -7)], 1),
    ),
    "border": (
        QPad2d((1, 0, 2, 3), fill=9),
        (3,),
        lambda a: np.pad(a, ((0, 0), (0, 0), (1, 2), (0, 3)), constant_values=9),
    ),
    "part": (QPad2d((-1, -2, 1, -1), (1, 2), 9), (3,), lambda a: _part(a)),
}


def _part(a):
    """Without the first row and the outer columns, with a row of 9 below; every second column."""
    below = np.full_like(a[:, :, :1], 9)
    return np.concatenate([a[:, :, 1:], below], 2)[:, :, :, 2:-1:2]


@pytest.mark.parametrize("case", MOVES)
def test_what_is_moved_is_what_was_there(case):
    operator, channels, expected = MOVES[case]
    arrays = [int8(np.random.default_rng(8 + place), 2, count, 4, 6) for place, count in enumerate(channels)]
    (y,) = operator.run(*arrays)
    np.testing.assert_array_equal(y, expected(*arrays))
    (tensor,) = operator.infer(*(TensorType(DType.INT8, array.shape) for array in arrays))
    assert tensor.shape == y.shape
    (symbolic,) = operator.infer(*(TensorType(DType.INT8, (N, *array.shape[1:])) for array in arrays))
    assert symbolic.shape == (N, *y.shape[1:])


@pytest.mark.parametrize(
    ("operator", "shapes", "message"),
    [
        (QConcat(1), [(1, 3, 4, 4), (1, 3, 4, 5)], "operands must agree except along axis 1"),
        (QConcat(2), [], "must have at least one operand"),
        (QGather((0, 3)), [(1, 3, 4, 4)], "channels must be from -1 to 2, not [0, 3]"),
        (QPad2d((-2, 0, -2, 0)), [(1, 3, 4, 4)], "pads (-2, 0, -2, 0) must leave some of 4×4"),
    ],
)
def test_what_cannot_be_moved_is_refused(operator, shapes, message):
    with pytest.raises(OperatorError) as caught:
        operator.infer(*(TensorType(DType.INT8, shape) for shape in shapes))
    assert message in str(caught.value)


def test_a_residual_joins_the_sums_and_the_pool_takes_their_maximum():
    rng = np.random.default_rng(2)
    window = Window((2, 3), (2, 1), (1, 0, 0, 2))
    operator = QConv2d((1, 1), (1, 1, 1, 1), (1, 1), 1, 9, 4, -128, 100, True, window)
    x, weight = int8(rng, 1, 2, 5, 6), int8(rng, 3, 2, 3, 3)
    bias, scale = rng.integers(-5000, 5000, 3).astype(np.int32), words(rng, 3)
    residual, factor = int8(rng, 1, 3, 5, 6), rng.integers(1, 400, 3).astype(np.int16)
    (y,) = operator.run(x, weight, bias, scale, residual, factor)
    t = sums(x, weight, operator)
    for index in np.ndindex(y.shape):
        _, o, row, column = index
        rows = range(row * 2 - 1, row * 2 + 1)
        seen = [
            t[0, o, r, c] + int(residual[0, o, r, c]) * int(factor[o])
            for r, c in itertools.product(rows, range(column, column + 3))
            if 0 <= r < 5 and 0 <= c < 6
        ]
        assert y[index] == finish(max(seen) + int(bias[o]), scale[o], 4, -128, 100)


def test_sums_beyond_float32_and_int32_are_exact():
    terms = 140_000
    operator = QConv2d((1, 1), (0, 0, 0, 0), (1, 1), 1, 0, 0, -128, 127)
    x = np.full((1, terms, 1, 1), -128, np.int8)
    weight = np.stack([np.full((terms, 1, 1), value, np.int8) for value in (-128, 1)])
    weight[1, 0] = 2
    # 2^31 and more saturates; 140,001 terms of −128 do not, and the odd one must not be lost.
    scale = pack_scale([65536, 65536], [19, -1])
    bias = np.array([0, terms * 128 + 120], np.int32)
    y = operator.run(x, weight, bias, scale)[0].ravel()
    assert y.tolist() == [finish(2**31 - 1, scale[0], 0, -128, 127), finish(-8, scale[1], 0, -128, 127)]


def test_a_convolution_in_parts_is_the_whole(monkeypatch):
    from tilewright.compiler.ops.quantised import convolution

    rng = np.random.default_rng(3)
    x, weight = int8(rng, 9, 3, 6, 5), int8(rng, 4, 3, 3, 2)
    arrays = (x, weight, np.zeros(4, np.int32), words(rng, 4))
    (whole,) = CONVOLUTIONS[0].run(*arrays)
    monkeypatch.setattr(convolution, "_COLUMN_ELEMENTS", 18 * 16 * 2)
    assert np.array_equal(CONVOLUTIONS[0].run(*arrays)[0], whole)


def test_an_average_chooses_its_scale_by_the_pixels_inside():
    rng = np.random.default_rng(4)
    window = Window((2, 2), (2, 2), (1, 1, 0, 0))
    scales = tuple((count, int(pack_scale(65536 + 4001 * count, 3))) for count in (1, 2, 4))
    operator = QAveragePool2d(window, -7, 28, scales, 3, -100, 127)
    x = int8(rng, 2, 3, 3, 5)
    (y,) = operator.run(x)
    for index in np.ndindex(y.shape):
        n, c, row, column = index
        pixels = itertools.product(*(range(2 * at - 1, 2 * at + 1) for at in (row, column)))
        inside = [int(x[n, c, i, j]) for i, j in pixels if 0 <= i < 3 and 0 <= j < 5]
        t = sum(inside) - 7 * (4 - len(inside)) + 28
        assert y[index] == finish(t, dict(scales)[len(inside)], 3, -100, 127)
    with pytest.raises(
        OperatorError, match=r"scales must hold one for each number of pixels .* not for \[2\]"
    ):
        QAveragePool2d(window, -7, 28, scales[::2], 3, -100, 127).infer(TensorType(DType.INT8, (1, 3, 3, 5)))


def test_a_maximum_is_clamped_and_padding_never_wins():
    x = np.full((1, 1, 2, 2), -128, np.int8)
    assert (
        QMaxPool2d(Window((2, 2), (1, 1), (1, 1, 1, 1))).run(x)[0].tolist()
        == np.full((1, 1, 3, 3), -128).tolist()
    )
    x = np.array([[[[-100, 5], [90, -3]]]], np.int8)
    assert QMaxPool2d(Window((1, 1)), -10, 60).run(x)[0].tolist() == [[[[-10, 5], [60, -3]]]]
    assert QMaxPool2d(Window((2, 1)), -10, 60).run(x)[0].tolist() == [[[[60, 5]]]]


def test_a_sum_is_its_formula():
    rng = np.random.default_rng(5)
    operator = QAdd(-128, 32767, 1234567, int(pack_scale(80000, 8)), -5, -90, 80)
    a, b = int8(rng, 2, 3, 4, 4), int8(rng, 2, 3, 4, 4)
    (y,) = operator.run(a, b)
    for index in np.ndindex(y.shape):
        t = int(a[index]) * -128 + int(b[index]) * 32767 + 1234567
        assert y[index] == finish(t, operator.scale, -5, -90, 80)


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (2, 3, 1, 1)], ids=["elements", "factors of channels"])
def test_a_product_is_its_formula(shape):
    rng = np.random.default_rng(6)
    operator = QMul(-90, 101, int(pack_scale(80000, 1)), -5, -90, 80)
    a, b = int8(rng, 2, 3, 4, 4), int8(rng, *shape)
    (y,) = operator.run(a, b)
    wide = np.broadcast_to(b, a.shape)
    for index in np.ndindex(y.shape):
        t = (int(a[index]) + 90) * (int(wide[index]) - 101)
        assert y[index] == finish(t, operator.scale, -5, -90, 80)
    types = TensorType(DType.INT8, (2, 3, 4, 4)), TensorType(DType.INT8, (2, 3, 1, 4))
    with pytest.raises(OperatorError, match=r"b must have shape \[2, 3, 4, 4\] or \[2, 3, 1, 1\], not"):
        operator.infer(*types)


def test_a_table_has_the_value_of_each_integer():
    table = (np.arange(256) * 7 % 251 - 128).astype(np.int8)
    x = np.array([[[[-128, -1, 0, 127]]]], np.int8)
    assert QLookup().run(x, table)[0].tolist() == [[[[table[0], table[127], table[128], table[255]]]]]
    with pytest.raises(OperatorError, match=r"table must have shape \[256\], not \[255\]"):
        QLookup().infer(TensorType(DType.INT8, (1, 4)), TensorType(DType.INT8, (255,)))


def test_a_convolution_is_looked_up_behind_its_clamp():
    rng = np.random.default_rng(7)
    x, weight = int8(rng, 1, 3, 4, 4), int8(rng, 5, 3, 3, 3)
    bias = rng.integers(-900, 900, 5).astype(np.int32)
    scale, table = pack_scale(np.full(5, 80000), np.full(5, 4)), int8(rng, 256)
    plain = QConv2d((1, 1), (1, 1, 1, 1), (1, 1), 1, 3, 2, -90, 80)
    looked_up = QConv2dTable.of(plain)
    (y,) = plain.run(x, weight, bias, scale)
    expected = table[y.astype(int) + 128]
    np.testing.assert_array_equal(looked_up.run(x, weight, bias, scale, table)[0], expected)


def test_work_is_counted_in_the_convolution_not_behind_the_pool():
    x, weight = TensorType(DType.INT8, (1, 6, 8, 8)), TensorType(DType.INT8, (4, 6, 3, 3))
    pooled = QConv2d((1, 1), (1, 1, 1, 1), (1, 1), 1, 0, 0, -128, 127, False, Window((2, 2), (2, 2)))
    channel = TensorType(DType.INT32, (4,))
    assert pooled.infer(x, weight, channel, channel)[0].shape == (1, 4, 4, 4)
    assert pooled.macs(x, weight, channel, channel) == 4 * 64 * 54


@pytest.mark.parametrize(
    ("window", "seen"),
    [
        (Window((2, 2), (2, 2)), (6, 6)),
        (Window((2, 3), (2, 3), (1, 0, 0, 0)), (7, 6)),
        (Window((1, 2), (3, 1)), (3, 7)),
        (Window((3, 3), (1, 1), (1, 1, 1, 1)), (7, 7)),
    ],
)
def test_work_that_no_window_sees_does_not_count(window, seen):
    picture = np.zeros((1, 1, 7, 7), np.int8)
    touched = np.zeros((7, 7), bool)
    for row, column in np.ndindex(7, 7):
        picture[:] = 0
        picture[0, 0, row, column] = 1
        touched[row, column] = window.patches(picture, 0).any()
    assert touched.sum() == seen[0] * seen[1]
    assert window.seen(7, 7) == seen
    operator = QConv2d((1, 1), (1, 1, 1, 1), (1, 1), 1, 0, 0, -128, 127, False, window)
    x, weight = TensorType(DType.INT8, (1, 6, 7, 7)), TensorType(DType.INT8, (4, 6, 3, 3))
    assert operator.macs(x, weight) == 4 * seen[0] * seen[1] * 54


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Window((0, 1)), "kernel must be 2 integers from 1 up, not (0, 1)"),
        (
            lambda: Window((2, 2), pads=(0, 2, 0, 0)),
            "pads must be smaller than the kernel (2, 2), not (0, 2, 0, 0)",
        ),
        (lambda: QMaxPool2d(Window((1, 1)), 5, 4), "lo must be at most hi, not 5 > 4"),
        (lambda: QAdd(128, 0, 0, 0, 0, -128, 127), "ka must be an integer from -128 to 127, not 128"),
        (lambda: QAdd(1, 1, 0, 0, 0, -129, 127), "lo must be an integer from -128 to 127, not -129"),
        (
            lambda: QConv2d((1, 1), (0, 0, 0, 0), (0, 1), 1, 0, 0, 0, 1),
            "dilations must be 2 integers from 1 up",
        ),
    ],
)
def test_attributes_are_checked(make, message):
    with pytest.raises(OperatorError) as caught:
        make()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("groups", "weight", "message"),
    [
        (1, (4, 5, 3, 3), "weight must have 6/1 input channels"),
        (2, (5, 3, 3, 3), "the 5 channels of the result must be a multiple of the 2 groups"),
        (4, (8, 1, 3, 3), "weight must have 6/4 input channels"),
        (1, (4, 6, 9, 3), "a window of (9, 3) must fit the padded feature map, not exceed 8×8"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(groups, weight, message):
    operator = QConv2d((1, 1), (0, 0, 0, 0), (1, 1), groups, 0, 0, -128, 127)
    channel = TensorType(DType.INT32, weight[:1])
    with pytest.raises(OperatorError) as caught:
        operator.infer(TensorType(DType.INT8, (1, 6, 8, 8)), TensorType(DType.INT8, weight), channel, channel)
    assert message in str(caught.value)


def test_the_registry_has_every_operator_by_its_name():
    assert {
        "qconv2d",
        "qmax_pool2d",
        "qaverage_pool2d",
        "qadd",
        "quantise",
        "map",
        "dense",
        "call",
    } <= operators().keys()
    assert all(operator.name == name for name, operator in operators().items())


@pytest.mark.parametrize("operator", CONVOLUTIONS)
def test_any_number_of_samples_is_as_many_single_ones(operator):
    """The batch is a leading axis of any size: symbolic in types, and no operator mixes its samples."""
    rng = np.random.default_rng(6)
    x, outputs = int8(rng, 3, 3, 6, 5), 3 if operator.groups > 1 else 4
    arrays = (
        int8(rng, outputs, 3 // operator.groups, 3, 2),
        np.arange(outputs, dtype=np.int32),
        words(rng, outputs),
    )
    (whole,) = operator.run(x, *arrays)
    for index in range(3):
        assert np.array_equal(operator.run(x[index : index + 1], *arrays)[0][0], whole[index])
    types = [TensorType(DType(array.dtype.name), array.shape) for array in arrays]
    (result,) = operator.infer(TensorType(DType.INT8, (N, 3, 6, 5)), *types)
    assert result == TensorType(DType.INT8, (N, *whole.shape[1:]))


def test_a_size_behind_the_batch_must_be_known():
    with pytest.raises(
        OperatorError, match=r"x must have known sizes behind the batch, not i8\[1, 3, n, 5\]"
    ):
        QMaxPool2d(Window((1, 1))).infer(TensorType(DType.INT8, (1, 3, N, 5)))


def test_a_window_is_an_attribute_that_text_keeps():
    from tilewright.compiler.ir.build import trace
    from tilewright.compiler.ir.parse import parse_function
    from tilewright.compiler.ir.print import print_function

    pool = QMaxPool2d(Window((3, 2), (2, 1), (1, 0, 1, 1)), -9, 80)
    x = TensorType(DType.INT8, (N, 3, 6, 5))
    function = trace("pooled", [x], lambda b, x: (b.emit(pool, x),))
    again = parse_function(print_function(function), operators())
    assert again == function
    assert isinstance(again.equations[0].operator.window, Window)
