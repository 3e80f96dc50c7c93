"""Python functions on arrays and on tensors: the same numbers; what has no meaning is told all at once."""

import math

import numpy as np
import pytest
from tests.compiler.te.refused_python import (
    calls_itself,
    ends_with_nothing,
    much_that_is_python,
    refused,
    returns_what_it_allocates,
    says_what_it_does,
    swap,
)

from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import (
    ComputeAt,
    Fuse,
    Inline,
    Parallel,
    Reorder,
    ScheduleError,
    SetScope,
    Split,
    Unroll,
)
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.printer import print_function

LIMIT = np.float32(0.25)
LAST = -1


def three_ways(function, *arguments, before=(), **options):
    """What the function gives on arrays, which expressions and loops must give too."""
    tensors = [
        te.placeholder(a.shape, DType.of(a.dtype), f"in{n}") if isinstance(a, np.ndarray) else a
        for n, a in enumerate(arguments)
    ]
    given = {t: a for t, a in zip(tensors, arguments, strict=True) if isinstance(t, te.Tensor)}
    outputs = function(*tensors, **options)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    with np.errstate(all="ignore"):
        expected = function(*arguments)
    expected = expected if isinstance(expected, tuple) else (expected,)
    by_te = te.evaluate(outputs, given)
    lowered = schedule.apply(te.lower("f", list(given), outputs), before)
    by_loops = run(lowered, {t.name: a for t, a in given.items()})
    for output, array, other in zip(outputs, expected, by_te, strict=True):
        np.testing.assert_array_equal(other, array)
        np.testing.assert_array_equal(by_loops[output.name], array)
        assert by_loops[output.name].dtype == array.dtype
    return expected


@te.hybrid
def overlap(boxes, a, b):
    """The area of both over that of either."""
    width = min(boxes[a, 2], boxes[b, 2]) - max(boxes[a, 0], boxes[b, 0])
    height = min(boxes[a, 3], boxes[b, 3]) - max(boxes[a, 1], boxes[b, 1])
    both = np.float32(0)
    if width > 0 and height > 0:
        both = width * height
    one = (boxes[a, 2] - boxes[a, 0]) * (boxes[a, 3] - boxes[a, 1])
    other = (boxes[b, 2] - boxes[b, 0]) * (boxes[b, 3] - boxes[b, 1])
    return both / (one + other - both)


@te.hybrid
def suppress(boxes, scores, limit):
    """The boxes by falling scores, without those that overlap with one before; and how many."""
    n = boxes.shape[0]
    order = te.allocate(n, np.int64)
    keep = te.output(n, np.int32)
    count = te.output((), np.int32)
    for i in te.parallel(n):
        order[i] = i
        keep[i] = -1
    for i in range(1, n):
        j = i
        while j > 0 and scores[order[j - 1]] < scores[order[j]]:
            order[j - 1], order[j] = order[j], order[j - 1]
            j -= 1
    found = 0
    for i in te.serial(n):
        good = True
        for j in range(found):
            if overlap(boxes, order[i], keep[j]) > limit:
                good = False
                break
        if not good:
            continue
        keep[found] = np.int32(order[i])
        found += 1
    count[()] = found
    return keep, count


@pytest.mark.parametrize("seed", range(4))
def test_non_maximum_suppression_runs_as_python_and_as_loops(seed):
    rng = np.random.default_rng(seed)
    low = rng.random((9, 2), dtype=np.float32) * 3
    boxes = np.concatenate([low, low + 1 + rng.random((9, 2), dtype=np.float32)], axis=1)
    keep, count = three_ways(suppress, boxes, rng.random(9, dtype=np.float32), 0.3, name="nms")
    assert 1 < count < 9
    assert sorted(keep[count:]) == [-1] * (9 - count)


@te.hybrid
def collatz(x):
    steps = te.output(x.shape, x.dtype)
    longest = te.output((), x.dtype)
    best = 0
    for i in range(len(x)):
        value, count = x[i], 0
        while value != 1:
            value = value // 2 if value % 2 == 0 else 3 * value + 1
            count += 1
            if count == 20:
                break
        steps[i] = count
        best = max(best, steps[i])
    longest[()] = best
    return steps, longest


@pytest.fixture
def numbers():
    return np.array([1, 2, 7, 6, 27, 3], np.int32)


def test_variables_are_as_wide_as_what_they_get(numbers):
    steps, longest = three_ways(collatz, numbers)
    assert steps.tolist() == [0, 1, 16, 8, 20, 7]
    assert longest == 20


@te.hybrid
def every_construct(x, y, scale):
    rows, columns = x.shape
    out = te.output((rows, columns), np.float32)
    total = te.output(2, np.float64)
    line = te.allocate((columns,), np.float32)
    half, whole = 0.0, 0
    for i in te.unroll(rows):
        for j in te.vectorise(columns):
            line[j] = np.sqrt(abs(x[i, j])) if 0 < i <= rows - 1 != j else -x[i, j] * scale
        for j in range(columns - 1, LAST, -2):
            if j == 1:
                pass
            elif not (x[i, j] > 0 or y[j] == 2):
                line[j] += LIMIT
            else:
                line[j] *= np.float32(y[j])
            whole += int(line[j]) % 3
        for j in range(columns):
            out[i, columns - 1 if j == 0 else j - 1] = 0 if rows == 1 else np.maximum(line[j], -2)
        half += float(line[i]) + math.sqrt(2 + i) / 2
    total[0], total[1] = half, whole
    return out, total


def test_every_construct_is_numpy_s():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 5)).astype(np.float32)

    @te.hybrid
    def last_first(a):
        out = te.output(a.shape, np.float32)
        for i in range(len(a)):
            out[i] = a[len(a) - 1 - i] - a[-1]
        return out

    three_ways(last_first, x[0])
    three_ways(every_construct, x, np.array([3, 2, 1, 2, 5], np.int8), 2)


@te.hybrid
def both_ends(array, n):
    n = n - 1
    return array[0], array[n]


@te.hybrid
def is_larger(a, b):
    """Only an expression: it is written where it is called."""
    return a > b


@te.hybrid
def reversed_twice(x):
    work = te.allocate(x.shape, x.dtype)
    out = te.output(x.shape, x.dtype)
    ends = te.output(3, x.dtype)
    n = len(x)
    for i in range(n):
        work[i] = x[i]
    for i in range(n // 2):
        swap(work, i, n - 1 - i)
    first, last = both_ends(work, n)
    ends[0], ends[1] = last, first
    ends[2] = 1 if n > 2 and is_larger(x[0], x[n - 1]) else 0
    i = 0
    while True:
        out[i] = work[i]
        i += 1
        if i >= n:
            break
    return out, ends


@pytest.mark.parametrize("size", [1, 2, 6])
def test_functions_that_are_called_are_written_out(numbers, size):
    x = numbers[:size]
    out, ends = three_ways(reversed_twice, x)
    assert out.tolist() == x[::-1].tolist()
    assert ends[:2].tolist() == [x[0], x[-1]]


def test_bounds_of_a_range_are_read_once(numbers):
    @te.hybrid
    def doubled(x):
        out = te.output(1, np.int64)
        n = 3
        for i in range(n + x[0]):
            n = n * 2 + i
        out[0] = n
        return out

    assert three_ways(doubled, numbers)[0] == 59


def test_what_is_known_leaves_out_what_is_not_taken(numbers):
    @te.hybrid
    def by_rank(x):
        out = te.output(x.shape, x.dtype)
        n = len(x)
        for i in range(n):
            out[i] = x[i, 0] if n < 3 else x[i]
            if not 2 < n <= 6 or (n == 3 and x[i, i] > 0):
                out[i] = x[i, i]
        return out

    three_ways(by_rank, numbers)


@te.hybrid
def outer_variable(x):
    out = te.output(2, np.int64)
    j = 0
    for i in range(len(x)):
        for j in range(i):
            if x[j] > 5:
                break
        if j == 3:
            continue
        out[0] = j
    out[1] = j
    return out


def test_variable_keeps_the_last_value_of_a_loop(numbers):
    assert three_ways(outer_variable, numbers)[0].tolist() == [2, 2]


def test_all_that_has_no_meaning_is_told_at_once(numbers):
    x = te.placeholder((6,), DType.INT32, "x")
    with pytest.raises(TirError) as caught:
        much_that_is_python(x)
    first, *lines = str(caught.value).splitlines()
    begin = much_that_is_python.source.first
    assert first == "much_that_is_python must be written otherwise here:"
    assert lines == [
        f"refused_python.py:{begin + offset}: {text}"
        for offset, text in [
            (3, "`f'{x}'`: leave it out: there is no text"),
            (5, "`try:`: nothing is raised: test with if before"),
            (9, "`(x[i] for i in range(3))`: write a loop over elements"),
            (10, "`1:`: write a loop over elements"),
            (11, "`for value in x:`: a loop must be over range(…): index with its variable"),
            (14, "`with te as t:`: leave it out"),
            (16, "`lambda: i`: make it a hybrid function of its own, outside"),
            (17, "`out[i] = x[i] ** 2`: the operator must be one of + - * / // %: write others with these"),
            (
                18,
                "`out[i] = x[i] / 2`: / of int32 gives a fraction: use //, or convert with "
                "np.float32(…) before",
            ),
            (19, "`x[i] = 1`: x is given and must not be changed: copy it into te.allocate(…)"),
        ]
    ]


REASONS = [
    "a new tensor must have a shape and a type that are known now",
    "int64 must be int32 here",
    "float32 must be int32 here: convert it, with np.int32",
    "1099511627776 must be from -2147483648 to 2147483647",
    "float64 must be int32 here",
    "must have 1 indices, one for each dimension at once, not 2",
    "an index must be an integer, not float32: use int",
    "x must be indexed, an element at a time",
    "later must be assigned before; the variable of a loop ends with it",
    "a captured array must be an argument, to be given as a tensor",
    "is not always computed: write it in a statement before, or with if",
    "changes changes refused: call it in a statement of its own",
    "changes must be given other arguments: too many",
    "the function gives nothing: return a value at its end",
    "a condition must be a comparison, not int32: write `… != 0`",
    "k is the variable of a loop around: assign to another name",
    "inside must be made outside of loops, and returned at the end",
    "the step of a range must be known, and not 0",
    "the bounds of a range must be integers: use int",
    "there is no else of a loop",
    "there must be 2 values for as many targets",
    "assign one target at a time",
    "sum is not known: use hybrid functions, min, max",
    "arguments must be given by position",
    "of a tensor there are elements, .shape and .dtype: write a loop",
    "the comparison must be one of < <= > >= == !=",
    "sqrt of int32 must be of a float: convert with np.float32",
    "truth values are no numbers: choose between two",
    "the type must be one of bool, int8",
    "this divides by 0: test with if before",
    "return must be the last statement",
]


def test_each_refusal_says_what_would_work():
    x, f = te.placeholder((3,), DType.INT32, "x"), te.placeholder((3,), DType.FLOAT32, "f")
    with pytest.raises(TirError) as caught:
        refused(x, f)
    lines = str(caught.value).splitlines()[1:]
    assert len(lines) == len(REASONS)
    for line, reason in zip(lines, REASONS, strict=True):
        assert reason in line


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda x: te.hybrid(lambda x: x)(x, name="f"), "must be a function of its own, with def"),
        (lambda x: te.hybrid(eval("lambda x: x"))(x, name="f"), "must be written in a file"),
        (lambda x: ends_with_nothing(x), "must return outputs by name, each made by te.output"),
        (lambda x: says_what_it_does(x), "must return outputs by name"),
        (lambda x: returns_what_it_allocates(x), "out must be made by te.output"),
        (lambda x: calls_itself(x), "calls_itself must not call itself: use a loop"),
        (lambda x: swap(x, 1), "must return outputs by name"),
        (lambda x: collatz(x, x), "collatz must be given other arguments: too many positional"),
        (lambda x: collatz(x, name="3"), "must be an identifier, not '3'"),
        (lambda x: te.hybrid(lambda name: name), "must not have a parameter `name`"),
    ],
)
def test_function_that_is_no_operator_is_refused(make, text):
    with pytest.raises(TirError, match=text):
        make(te.placeholder((3,), DType.INT32, "x"))


def test_operator_prints_as_a_procedure():
    x = te.placeholder((3,), DType.INT32, "x")

    @te.hybrid
    def first_negative(x):
        out = te.output((), np.int64)
        i = 0
        while i < len(x) and x[i] >= 0:
            if x[i] == 5:
                break
            elif x[i] == 7:
                i = i + 2
                continue
            else:
                pass
            i += 1
        out[()] = i
        return out

    assert (
        print_function(te.lower("f", [x], [first_negative(x, name="at")]))
        == """\
function f(x: int32[3]) -> (at: int64[]):
    procedure at(x) -> (at):
        allocate at_i: int64[]
        at_i[] = 0
        while select(at_i[] < 3, 0 <= x[at_i[]], False):
            if x[at_i[]] == 5:
                break
            else:
                if x[at_i[]] == 7:
                    at_i[] = at_i[] + 2
                    continue
            at_i[] = at_i[] + 1
        at[] = at_i[]"""
    )


@te.hybrid
def running(x):
    out = te.output(x.shape, x.dtype)
    rows, columns = x.shape
    for i in range(rows):
        for j in range(columns):
            out[i, j] = x[i, j] + (out[i, j - 1] if j > 0 else 0)
    for i in range(rows):
        if x[i, 0] > 20:
            break
        out[i, 0] += 1
    return out


X = te.placeholder((4, 3), DType.INT32, "x")
TWICE = te.compute((4, 3), lambda i, j: X[i, j] * 2, "twice")
BETWEEN = running(TWICE, name="run")
VALUES = np.arange(12, dtype=np.int32).reshape(4, 3) * 3


def between():
    out = te.compute((4, 3), lambda i, j: BETWEEN[i, j] + TWICE[i, j], "out")
    return te.lower("f", [X], [out])


@pytest.mark.parametrize(
    "steps",
    [
        [Split("run_i", 3, "io", "ii"), Split("run_j", 2, "jo", "ji")],
        [Fuse("run_i", "run_j", "f"), Split("f", 5, "fo", "fi")],
        [Unroll("run_i2"), Unroll("run_j")],
        [SetScope("twice", MemoryScope.ACTIVATION), SetScope("run", MemoryScope.LANE)],
    ],
    ids=schedule.print_schedule,
)
def test_loops_of_an_operator_keep_its_order(steps):
    function = between()
    changed = schedule.apply(function, steps)
    np.testing.assert_array_equal(run(changed, {"x": VALUES})["out"], run(function, {"x": VALUES})["out"])


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (Reorder(("run_j", "run_i")), "run_j runs in the order of procedure run: change it there"),
        (Parallel("run_i"), "run_i runs in the order of procedure run"),
        (Split("run_i2", 2, "a", "b"), "run_i2 must run to its end, and a break leaves it"),
        (ComputeAt("twice", "run_i"), "run reads all of twice, at no loop: leave twice where it is"),
        (Inline("twice"), "run reads all of twice: it must stay a buffer"),
        (ComputeAt("run", "out_i"), "run is opaque, not a block: schedule what it reads and what reads it"),
    ],
    ids=str,
)
def test_step_that_would_look_into_an_operator_is_refused(step, text):
    with pytest.raises(ScheduleError, match=text) as caught:
        schedule.apply(between(), [step])
    assert "procedure run(twice) -> (run):" in str(caught.value)


@te.hybrid
def largest_before(x, end):
    best = x[0]
    for i in range(1, end):
        best = max(best, x[i])
    return best


@te.hybrid
def first_that_reaches(x, level):
    out = te.output((), np.int64)
    i = 1
    while largest_before(x, i) < level:
        i += 1
        if i == len(x):
            break
    out[()] = i
    return out


def test_condition_that_needs_statements_is_computed_in_each_iteration(numbers):
    for level, expected in ((1, 1), (2, 2), (7, 3), (8, 5), (30, 6)):
        assert three_ways(first_that_reaches, numbers, level)[0] == expected
