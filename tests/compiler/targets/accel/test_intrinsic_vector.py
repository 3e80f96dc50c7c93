"""Vector nests: every accepted form of expression means on the machine what it means in loops."""

import pytest

from task_machine import check, machine
from task_program import (
    accumulate,
    allocated,
    as_int32,
    assign,
    at,
    buffer,
    copy,
    int8,
    int32,
    nest,
    scaled,
    wide,
)
from tilewright.compiler.dtype import DType
from tilewright.compiler.targets.accel.tensorise import TensoriseError, limits_of, tensorise
from tilewright.compiler.tir.buffer import Buffer, MemoryScope
from tilewright.compiler.tir.expr import Binary, BinaryOp, Cast, ElementCall, ElementFunction, as_expr
from tilewright.compiler.tir.stmt import Allocate, PrimFunc, Seq
from tilewright.isa.instruction import Destination, ReduceMode, SourceB, Vector, VectorOp

SHAPE = (3, 2, 4)


def saturate(value, bits):
    narrow = DType.INT8 if bits == 8 else DType.INT16
    function = ElementFunction.SATURATE_INT8 if bits == 8 else ElementFunction.SATURATE_INT16
    return Cast(DType.INT32, ElementCall(function, (value,), narrow))


def least(a, b):
    return Binary(BinaryOp.MIN, a, b)


def most(a, b):
    return Binary(BinaryOp.MAX, a, b)


def narrow(value, lo=-128, hi=127):
    return Cast(DType.INT8, least(most(value, int32(lo)), int32(hi)))


class Operands:
    """What nests read: activations a and b, accumulators s and t of one shape, 5 parameter vectors p."""

    def __init__(self, shape=SHAPE):
        lanes = (5, shape[-1])
        self.outside = [buffer("xa", shape), buffer("xb", shape), wide("xs", shape), wide("xt", shape)]
        self.outside.append(wide("xp", lanes))
        scopes = [
            MemoryScope.ACTIVATION,
            MemoryScope.ACTIVATION,
            MemoryScope.ACCUMULATOR,
            MemoryScope.ACCUMULATOR,
        ]
        self.chip = [buffer(n, shape, scope) for n, scope in zip("abst", scopes, strict=True)]
        self.chip.append(buffer("p", lanes, MemoryScope.PARAMETER))
        self.a, self.b, self.s, self.t, self.p = self.chip

    def fills(self):
        for chip, outside in zip(self.chip, self.outside, strict=True):
            yield copy(chip, chip.shape, lambda *i, x=outside: at(x, *i))


def program(operands: Operands, out: Buffer, work):
    """`work` makes a chip buffer `out` of the operands, and it is stored."""
    y = buffer("y", out.shape) if out.dtype is DType.INT8 else wide("y", out.shape)
    stored = copy(y, y.shape, lambda *i: at(out, *i))
    body = allocated([*operands.chip, out], *operands.fills(), work, stored)
    return PrimFunc("f", (*operands.outside, y), 1, body)


def elementwise(value, scope=MemoryScope.ACTIVATION):
    """A program of one vector nest; `value` of the operands and the indices."""
    operands = Operands()
    out = buffer("out", SHAPE, scope)
    return program(operands, out, copy(out, SHAPE, lambda *i: value(operands, *i)))


def vectors(work):
    return [task.instruction for task in work if isinstance(task.instruction, Vector)]


def only(program):
    (vector,) = vectors(check(program, machine()))
    return vector


FORMS = {
    "pass": lambda o, *i: at(o.a, *i),
    "relu": lambda o, *i: most(at(o.a, *i), int8(0)),
    "relu of sums": lambda o, *i: narrow(at(o.s, *i), 0, 100),
    "saturated": lambda o, *i: ElementCall(ElementFunction.SATURATE_INT8, (at(o.s, *i),), DType.INT8),
    "clamps in clamps": lambda o, *i: Cast(
        DType.INT8, most(least(most(least(at(o.s, *i), int32(90)), int32(-90)), int32(80)), int32(-120))
    ),
    "clamp that leaves one value": lambda o, *i: Cast(
        DType.INT8, least(most(at(o.s, *i), int32(50)), int32(-50))
    ),
    "clamp that leaves one value from above": lambda o, *i: Cast(
        DType.INT8, most(least(at(o.s, *i), int32(-50)), int32(50))
    ),
    "add": lambda o, *i: narrow(as_int32(at(o.a, *i)) + as_int32(at(o.b, *i))),
    "add a constant": lambda o, *i: narrow(as_int32(at(o.a, *i)) + 1000, -128, 127),
    "add a parameter": lambda o, *i: narrow(at(o.p, 3, i[-1]) + at(o.s, *i)),
    "subtract": lambda o, *i: narrow(at(o.s, *i) - as_int32(at(o.a, *i))),
    "subtract a constant": lambda o, *i: narrow(at(o.s, *i) - 12),
    "maximum": lambda o, *i: most(at(o.a, *i), at(o.b, *i)),
    "minimum": lambda o, *i: least(at(o.a, *i), at(o.b, *i)),
    "multiply": lambda o, *i: narrow(as_int32(at(o.a, *i)) * as_int32(at(o.b, *i))),
    "multiply by a constant": lambda o, *i: narrow(as_int32(at(o.a, *i)) * -3),
    "multiply by a parameter": lambda o, *i: narrow(as_int32(at(o.a, *i)) * saturate(at(o.p, 2, i[-1]), 8)),
    "multiply sums": lambda o, *i: narrow(saturate(at(o.s, *i), 16) * as_int32(at(o.b, *i))),
    "multiply sums by sums": lambda o, *i: narrow(saturate(at(o.s, *i), 8) * saturate(at(o.t, *i), 16)),
    "residual": lambda o, *i: scaled(
        at(o.s, *i) + as_int32(at(o.b, *i)) * saturate(at(o.p, 2, i[-1]), 16), o.p, (0,), i[-1]
    ),
    "scaled": lambda o, *i: scaled(at(o.s, *i), o.p, (1,), i[-1]),
    "scaled without a bias": lambda o, *i: narrow(
        ElementCall(ElementFunction.REQUANTISE, (at(o.s, *i), at(o.p, 1, i[-1])), DType.INT32) - 5
    ),
    "bias alone": lambda o, *i: narrow(
        ElementCall(ElementFunction.SATURATING_ADD, (at(o.p, 1, i[-1]), at(o.s, *i)), DType.INT32)
    ),
}
WIDE_FORMS = {
    "pass": lambda o, *i: as_int32(at(o.a, *i)),
    "add": lambda o, *i: at(o.s, *i) + at(o.t, *i),
    "maximum with a constant": lambda o, *i: most(at(o.s, *i), int32(1 << 18)),
    "multiply by a constant": lambda o, *i: as_int32(at(o.a, *i)) * 77,
    "multiply add": lambda o, *i: at(o.s, *i) + saturate(at(o.p, 4, i[-1]), 16) * as_int32(at(o.b, *i)),
    "scaled": lambda o, *i: ElementCall(
        ElementFunction.REQUANTISE,
        (
            ElementCall(ElementFunction.SATURATING_ADD, (at(o.s, *i), at(o.p, 0, i[-1])), DType.INT32),
            at(o.p, 1, i[-1]),
        ),
        DType.INT32,
    ),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_int8_results(form):
    vector = only(elementwise(form))
    assert (vector.to, vector.n_1, vector.n_0) == (Destination.ACTIVATION, 6, 1)


@pytest.mark.parametrize("form", WIDE_FORMS.values(), ids=WIDE_FORMS)
def test_int32_results(form):
    assert only(elementwise(form, MemoryScope.ACCUMULATOR)).to == Destination.ACCUMULATOR


# --- reductions --------------------------------------------------------------------------------------------


def lane(shape=(4,), dtype=DType.INT32):
    return Buffer("lane", tuple(as_expr(extent) for extent in shape), dtype, MemoryScope.LANE)


def window(item, finish, init=0, op=BinaryOp.ADD, kernel=(3, 2), stride=2, dtype=DType.INT32):
    """Results of windows over the operands, reduced in lanes."""
    operands = Operands((7, 6, 4))
    out, reduced = buffer("out", (3, 3, 4), MemoryScope.ACTIVATION), lane(dtype=dtype)

    def result(y, x):
        taps = nest(
            (*kernel, 4),
            lambda ky, kx, c: accumulate(
                at(reduced, c),
                item(operands, y * stride + ky, x * stride + kx, c, ky, kx),
                [ky, kx],
                init,
                op,
            ),
        )
        last = nest((4,), lambda c: assign(at(out, y, x, c), finish(operands, at(reduced, c), c)))
        return Allocate(reduced, Seq((taps, last)))

    return program(operands, out, nest((3, 3), result))


def test_average_pooling():
    vector = only(
        window(lambda o, y, x, c, *_: as_int32(at(o.a, y, x, c)), lambda o, t, c: scaled(t, o.p, (0,), c))
    )
    assert (vector.op, vector.reduce, vector.n_2, vector.n_3) == (VectorOp.PASS, ReduceMode.ADD, 3, 2)


@pytest.mark.parametrize("kernel", [(3, 2), (1, 1), (1, 4), (2, 1)])
def test_maximum_pooling_of_int8(kernel):
    vector = only(
        window(
            lambda o, y, x, c, *_: at(o.a, y, x, c),
            lambda o, t, c: t,
            -128,
            BinaryOp.MAX,
            kernel,
            1,
            DType.INT8,
        )
    )
    assert vector.reduce == ReduceMode.MAXIMUM


def test_maximum_pooling_of_sums_and_scaling():
    vector = only(
        window(
            lambda o, y, x, c, *_: at(o.s, y, x, c),
            lambda o, t, c: scaled(t, o.p, (0,), c),
            -(1 << 31),
            BinaryOp.MAX,
        )
    )
    assert (vector.bias, vector.requantise) == (1, 1)


def test_minimum_pooling():
    vector = only(
        window(
            lambda o, y, x, c, *_: as_int32(at(o.a, y, x, c)),
            lambda o, t, c: narrow(t),
            127,
            BinaryOp.MIN,
        )
    )
    assert vector.reduce == ReduceMode.MINIMUM


def test_a_depthwise_convolution():
    vector = only(
        window(
            lambda o, y, x, c, ky, kx: as_int32(at(o.a, y, x, c)) * saturate(at(o.p, ky * 2 + kx, c), 8),
            lambda o, t, c: narrow(t),
            kernel=(2, 2),
        )
    )
    assert (vector.op, vector.b_from) == (VectorOp.MULTIPLY, SourceB.PARAMETER)
    assert (vector.b_stride_2, vector.b_stride_3, vector.b_stride_1) == (2, 1, 0)


def test_lanes_that_reduce_nothing_stand_for_their_value():
    operands = Operands()
    out, held = buffer("out", SHAPE, MemoryScope.ACTIVATION), lane((2, 4))
    work = nest(
        (3,),
        lambda y: Allocate(
            held,
            Seq(
                (
                    nest((2, 4), lambda x, c: assign(at(held, x, c), at(operands.s, y, x, c) + 7)),
                    nest((2, 4), lambda x, c: assign(at(out, y, x, c), narrow(at(held, x, c)))),
                )
            ),
        ),
    )
    assert only(program(operands, out, work)).op == VectorOp.ADD


def test_a_lane_of_one_element_at_the_innermost_loop():
    # As compute_at leaves it: one element, and a loop of one step for each of its axes.
    operands = Operands((7, 6, 4))
    out, reduced = buffer("out", (3, 3, 4), MemoryScope.ACTIVATION), lane((1, 1, 1))

    def result(y, x, c):
        def tap(i, j, k, ky, kx):
            pixel = at(operands.s, (y + i) * 2 + ky, (x + j) * 2 + kx, c + k)
            return accumulate(at(reduced, i, j, k), pixel, [ky, kx], -(1 << 31), BinaryOp.MAX)

        last = assign(at(out, y, x, c), scaled(at(reduced, 0, 0, 0), operands.p, (0,), c))
        return Allocate(reduced, Seq((nest((1, 1, 1, 2, 2), tap), last)))

    vector = only(program(operands, out, nest((3, 3, 4), result)))
    assert (vector.n_0, vector.n_1, vector.n_2, vector.n_3) == (3, 3, 2, 2)


def test_a_reduction_into_accumulators():
    operands = Operands()
    out = buffer("out", (2, 4), MemoryScope.ACCUMULATOR)
    work = nest((3, 2, 4), lambda y, x, c: accumulate(at(out, x, c), as_int32(at(operands.a, y, x, c)), [y]))
    vector = only(program(operands, out, work))
    assert (vector.n_1, vector.n_3, vector.reduce) == (2, 3, ReduceMode.ADD)


def test_a_feature_map_is_reduced_by_two_loops():
    operands = Operands((17, 19, 4))
    out, reduced = buffer("out", (4,), MemoryScope.ACTIVATION), lane()
    taps = nest(
        (17, 19, 4), lambda y, x, c: accumulate(at(reduced, c), as_int32(at(operands.a, y, x, c)), [y, x])
    )
    last = nest((4,), lambda c: assign(at(out, c), scaled(at(reduced, c), operands.p, (0,), c)))
    vector = only(program(operands, out, Allocate(reduced, Seq((taps, last)))))
    assert vector.n_2 * vector.n_3 == 17 * 19


def test_a_change_in_place():
    operands = Operands()
    a = operands.a
    work = copy(a, SHAPE, lambda *i: most(at(a, *i), int8(3)))
    y = buffer("y", SHAPE)
    body = allocated(operands.chip, *operands.fills(), work, copy(y, SHAPE, lambda *i: at(a, *i)))
    only(PrimFunc("f", (*operands.outside, y), 1, body))


# --- tables ---


def looked_up(value, *, entries=256, first=0, offset=128, lane=lambda c: c):
    """A program that fills the lanes' tables, and looks a value of the operands up in them."""
    operands, out = Operands(), buffer("out", SHAPE, MemoryScope.ACTIVATION)
    outside = buffer("xe", (256, 4))
    rows, tables = (
        buffer("rows", (256, 4), MemoryScope.ACTIVATION),
        buffer("tables", (256, 4), MemoryScope.TABLE),
    )
    filled = copy(rows, rows.shape, lambda *i: at(outside, *i))
    written = nest((entries, 4), lambda e, c: assign(at(tables, e + first, c), at(rows, e, c)))

    def element(*i):
        return at(tables, Cast(DType.INT64, value(operands, *i)) + offset, lane(i[-1]))

    work = Seq((written, copy(out, SHAPE, element)))
    y = buffer("y", SHAPE)
    stored = copy(y, SHAPE, lambda *i: at(out, *i))
    buffers = [*operands.chip, rows, tables, out]
    body = allocated(buffers, *operands.fills(), filled, work, stored)
    return PrimFunc("f", (*operands.outside, outside, y), 1, body)


LOOKED_UP = {
    "of activations": lambda o, *i: at(o.a, *i),
    "of clamped sums": lambda o, *i: narrow(at(o.s, *i), -100, 90),
    "of requantised sums": lambda o, *i: scaled(at(o.s, *i), o.p, (0,), i[-1]),
}


@pytest.mark.parametrize("form", LOOKED_UP)
def test_a_table_is_written_and_read(form):
    written, read = vectors(check(looked_up(LOOKED_UP[form]), machine()))
    assert (written.to, written.n_0 * written.n_1, written.lookup) == (Destination.TABLE, 256, 0)
    assert (read.to, read.lookup) == (Destination.ACTIVATION, 1)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"entries": 255}, "a table must be written whole, 256 entries one after the other, not in loops of"),
        ({"offset": 127}, "an entry of a table must be that of an int8 value: the value + 128"),
        ({"lane": lambda c: 3 - c}, "each lane must look up in its own table"),
    ],
    ids=["a part", "another entry", "another lane"],
)
def test_what_a_table_does_otherwise_is_refused(options, text):
    assert text in refusal(looked_up(LOOKED_UP["of activations"], **options))


# --- what is refused ---------------------------------------------------------------------------------------


def refusal(program):
    with pytest.raises(TensoriseError) as error:
        tensorise(program, limits_of(machine()))
    return str(error.value)


REFUSED = {
    "an int8 result must be clamped": lambda o, *i: Cast(DType.INT8, at(o.s, *i)),
    "of int8 wraps where the machine does not": lambda o, *i: at(o.a, *i) + at(o.b, *i),
    "a product must have one factor within int16": lambda o, *i: narrow(at(o.s, *i) * as_int32(at(o.a, *i))),
    "the factor, a parameter": lambda o, *i: narrow(
        at(o.s, *i) + as_int32(at(o.a, *i)) * as_int32(at(o.b, *i))
    ),
    "one side of a saturating_add must be a parameter": lambda o, *i: narrow(
        ElementCall(ElementFunction.SATURATING_ADD, (at(o.s, *i), at(o.t, *i)), DType.INT32)
    ),
    "the scale must be an element of parameter memory, not one of accumulator": lambda o, *i: narrow(
        ElementCall(ElementFunction.REQUANTISE, (at(o.s, *i), at(o.t, *i)), DType.INT32)
    ),
    "the first operand must be an element of activation or accumulator memory": lambda o, *i: narrow(
        at(o.p, 0, i[-1])
    ),
    "parameters must lie one after the other": lambda o, *i: narrow(
        ElementCall(
            ElementFunction.REQUANTISE,
            (
                ElementCall(ElementFunction.SATURATING_ADD, (at(o.s, *i), at(o.p, 0, i[-1])), DType.INT32),
                at(o.p, 2, i[-1]),
            ),
            DType.INT32,
        )
    ),
    "must be from -128 to 127, not 200": lambda o, *i: narrow(
        ElementCall(ElementFunction.REQUANTISE, (at(o.s, *i), at(o.p, 1, i[-1])), DType.INT32) + 200
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_the_machine_would_compute_otherwise_is_refused(text):
    found = refusal(elementwise(REFUSED[text]))
    assert text in found
    assert "nearest intrinsic: vector" in found
    assert "out[" in found


def test_a_reduction_from_another_start_is_refused():
    program = window(lambda o, y, x, c, *_: as_int32(at(o.a, y, x, c)), lambda o, t, c: narrow(t), 5)
    assert "a reduction by add must start from a value that does not change it, not 5" in refusal(program)


def test_a_reduction_of_maxima_from_above_is_refused():
    program = window(
        lambda o, y, x, c, *_: as_int32(at(o.a, y, x, c)), lambda o, t, c: narrow(t), -127, BinaryOp.MAX
    )
    assert "a reduction by maximum must start" in refusal(program)


def test_too_many_reducing_loops_are_refused():
    operands = Operands((7, 6, 4))
    out, reduced = buffer("out", (4,), MemoryScope.ACTIVATION), lane()
    taps = nest(
        (2, 2, 2, 4),
        lambda i, j, k, c: accumulate(
            at(reduced, c), as_int32(at(operands.a, i * 3 + j, j + k * 3, c)), [i, j, k]
        ),
    )
    last = nest((4,), lambda c: assign(at(out, c), narrow(at(reduced, c))))
    assert "do not fit fields" in refusal(program(operands, out, Allocate(reduced, Seq((taps, last)))))


def test_parameters_of_another_block_leave_its_loop_outside():
    operands = Operands()
    out = buffer("out", SHAPE, MemoryScope.ACTIVATION)
    work = copy(out, SHAPE, lambda y, x, c: scaled(at(operands.s, y, x, c), operands.p, (y,), c))
    found = vectors(check(program(operands, out, work), machine()))
    assert [(vector.parameter, vector.n_1) for vector in found] == [(0, 2), (1, 2), (2, 2)]
