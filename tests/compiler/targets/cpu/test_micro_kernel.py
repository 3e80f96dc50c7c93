"""Micro-kernels: what is one and what is not, and the interpreter's bits on every kind of host."""

import re

import numpy as np
import pytest
from tests.compiler.targets.cpu.host_kernel import assert_same, interpreted

from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import CacheRead, ComputeAt, Reorder, Split, Unroll
from tilewright.compiler.targets.cpu import machine as machine_module
from tilewright.compiler.targets.cpu.codegen import emit_module
from tilewright.compiler.targets.cpu.contraction import MicroKernelMismatchError
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.export import write_object
from tilewright.compiler.targets.cpu.feature import DotInstruction, Features
from tilewright.compiler.targets.cpu.kernel import compile_function
from tilewright.compiler.targets.cpu.machine import HostMachine, object_code
from tilewright.compiler.targets.cpu.tensorise import Tensorise
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.interpret import run

HOSTS = {
    DotInstruction.AMX: (),
    DotInstruction.AVX512_VNNI: ("amx",),
    DotInstruction.AVX_VNNI: ("amx", "avx512"),
    DotInstruction.AVX2: ("amx", "avx512", "avxvnni"),
    DotInstruction.PLAIN: ("amx", "avx"),
}
"""What to take from this host so that it is one of a kind."""


@pytest.fixture(params=HOSTS, ids=str)
def host(request):
    machine = HostMachine.host().without(*HOSTS[request.param])
    if Features.of(machine).dot is not request.param:
        pytest.skip(f"this host has no {request.param}")
    return machine


def dot(rows=5, steps=7, lanes=16, start=None, left=DType.UINT8):
    """c[i, n] = Σ a[i, k, q] · b[k, n, q], from 0 or from start[n]."""
    a = te.placeholder((rows, steps, 4), left, "a")
    b = te.placeholder((steps, lanes, 4), DType.INT8, "b")
    starts = [te.placeholder((lanes,), DType.INT32, "start")] if start else []
    k, q = te.reduce_axis(steps, "k"), te.reduce_axis(4, "q")

    def total(i, n):
        product = te.cast(a[i, k, q], DType.INT32) * te.cast(b[k, n, q], DType.INT32)
        return te.sum_of(product, (k, q), init=starts[0][n] if start else None)

    function = te.lower("product", [a, b, *starts], [te.compute((rows, lanes), total, "c")])
    return schedule.apply(function, [Reorder(("c_i", "c_k", "c_n", "c_q"))])


def fma(rows=5, steps=7, lanes=16, dtype=DType.FLOAT32):
    a, b = te.placeholder((rows, steps), dtype, "a"), te.placeholder((steps, lanes), dtype, "b")
    k = te.reduce_axis(steps, "k")
    c = te.compute((rows, lanes), lambda i, n: te.sum_of(b[k, n] * a[i, k], k), "c")
    return schedule.apply(te.lower("product", [a, b], [c]), [Reorder(("c_i", "c_k", "c_n"))])


def arrays(function, seed=0):
    """Numbers of the whole range, the ends among them: what saturates does so often."""
    rng = np.random.default_rng(seed)
    result = {}
    for buffer in function.parameters[: len(function.parameters) - function.outputs]:
        shape = tuple(extent.value for extent in buffer.shape)
        if buffer.dtype.is_float:
            result[buffer.name] = rng.normal(size=shape).astype(buffer.dtype.numpy)
            continue
        info = np.iinfo(buffer.dtype.numpy)
        values = rng.integers(info.min, info.max, shape, buffer.dtype.numpy, endpoint=True)
        result[buffer.name] = np.where(rng.random(shape) < 0.3, info.max, values).astype(buffer.dtype.numpy)
    return result


def check(function, steps, machine, monkeypatch):
    function = schedule.apply(function, steps)
    inputs = arrays(function)
    is_float = function.parameters[0].dtype.is_float
    expected = interpreted(function, inputs, monkeypatch) if is_float else run(function, inputs)
    found = compile_function(function, machine=machine).run(inputs)
    assert_same(found, expected, schedule.print_schedule(steps))


@pytest.mark.parametrize(
    ("rows", "steps", "lanes"),
    [(1, 1, 16), (5, 7, 16), (14, 16, 32), (33, 18, 32), (17, 37, 48), (3, 5, 20), (2, 3, 5)],
)
def test_dot_is_exact(host, rows, steps, lanes, monkeypatch):
    check(dot(rows, steps, lanes), [Tensorise("c_i", "dot")], host, monkeypatch)


@pytest.mark.parametrize(("rows", "steps", "lanes"), [(1, 1, 16), (13, 7, 32), (3, 5, 20), (2, 3, 5)])
def test_dot_of_what_was_widened_is_exact_in_the_whole_range_of_int16(host, rows, steps, lanes, monkeypatch):
    function = dot(rows, steps, lanes, left=DType.INT16)
    check(function, [Tensorise("c_i", "dot")], host, monkeypatch)


def test_dot_starts_from_a_number_a_lane(host, monkeypatch):
    for lanes in (32, 21):
        check(dot(6, 9, lanes, start=True), [Tensorise("c_i", "dot")], host, monkeypatch)


@pytest.mark.parametrize(("rows", "steps", "lanes"), [(1, 1, 4), (5, 7, 16), (17, 3, 48), (3, 5, 19)])
def test_fma_adds_in_the_order_of_the_loops(host, rows, steps, lanes, monkeypatch):
    check(fma(rows, steps, lanes), [Tensorise("c_i", "fma")], host, monkeypatch)


def test_fma_of_float64(host, monkeypatch):
    check(fma(dtype=DType.FLOAT64), [Tensorise("c_i", "fma")], host, monkeypatch)


def test_blocks_of_the_fold_go_on_from_what_is_there(host, monkeypatch):
    """The last block is smaller; only the first one starts."""
    blocks = [Split("c_k", 16, "ko", "ki"), Reorder(("ko", "c_i", "ki"))]
    check(dot(6, 37, 32, start=True), [*blocks, Tensorise("c_i", "dot")], host, monkeypatch)
    check(fma(2, 37, 8), [*blocks, Tensorise("c_i", "fma")], host, monkeypatch)


def test_the_first_block_alone_starts_where_copies_are_in_the_loop_too(host, monkeypatch):
    """A loop around several blocks is not written apart for its first step: the kernel asks."""
    copies = [
        CacheRead("c", "a", MemoryScope.GLOBAL, "near_a"),
        CacheRead("c", "b", MemoryScope.GLOBAL, "near_b"),
    ]
    blocks = [Split("c_k", 16, "ko", "ki"), Reorder(("ko", "c_i", "ki")), *copies]
    blocks += [ComputeAt("near_a", "ko"), ComputeAt("near_b", "ko")]
    check(dot(6, 37, 32, start=True), [*blocks, Tensorise("c_i", "dot")], host, monkeypatch)
    check(fma(2, 37, 8), [*blocks, Tensorise("c_i", "fma")], host, monkeypatch)


def test_tails_of_rows_and_lanes_are_written_for_their_size(host, monkeypatch):
    tiles = [Split("c_i", 6, "io", "ii"), Split("c_n", 32, "no", "ni")]
    orders = {"dot": ("io", "no", "ii", "c_k", "ni", "c_q"), "fma": ("io", "no", "ii", "c_k", "ni")}
    check(dot(17, 9, 40), [*tiles, Reorder(orders["dot"]), Tensorise("ii", "dot")], host, monkeypatch)
    check(fma(17, 2, 40), [*tiles, Reorder(orders["fma"]), Tensorise("ii", "fma")], host, monkeypatch)


def test_unrolled_steps_of_a_reduction_are_written_one_behind_the_other(host, monkeypatch):
    steps = [Split("c_k", 4, "ko", "ki"), Reorder(("c_i", "ko", "ki")), Unroll("ki")]
    check(dot(3, 8, 16), [*steps, Tensorise("c_i", "dot")], host, monkeypatch)
    check(fma(3, 8, 16), [*steps, Tensorise("c_i", "fma")], host, monkeypatch)


def test_an_unrolled_step_is_no_loop():
    """One loop less in a loop nest around eight times as many products."""
    machine = HostMachine.host()
    steps = [Split("c_k", 8, "ko", "ki"), Reorder(("c_i", "ko", "ki"))]
    plain, unrolled = (
        str(
            emit_module(
                [schedule.apply(fma(1, 64, 16), [*steps, *more, Tensorise("c_i", "fma")])], machine=machine
            )
        )
        for more in ([], [Unroll("ki")])
    )
    assert unrolled.count("fmul") == 8 * plain.count("fmul")
    assert unrolled.count("phi") == plain.count("phi")


def test_a_tensorised_nest_still_means_what_it_did():
    function = dot()
    inputs = arrays(function)
    assert_same(run(schedule.apply(function, [Tensorise("c_i", "dot")]), inputs), run(function, inputs))


def test_a_system_that_grants_no_tiles_has_none(monkeypatch):
    monkeypatch.setattr(machine_module, "may_use_tiles", lambda: False)
    assert Features.of(HostMachine.host()).dot is not DotInstruction.AMX


def test_code_for_other_programs_uses_no_tiles(tmp_path):
    """They would have to ask the system first."""
    function = schedule.apply(dot(32, 16, 32), [Tensorise("c_i", "dot")])
    write_object(tmp_path / "product.o", [function])
    machine = HostMachine.host().without("amx")
    text = str(emit_module([function], machine=machine))
    assert "tdpbusd" not in text
    assert (tmp_path / "product.o").read_bytes() == object_code(text, machine)


def refused(function, loop, intrinsic):
    with pytest.raises(MicroKernelMismatchError) as error:
        schedule.apply(function, [Tensorise(loop, intrinsic)])
    return str(error.value)


def test_a_mismatch_shows_both_nests_and_the_first_difference():
    text = refused(fma(), "c_i", "dot")
    assert text.startswith("no dot: the factors must be a uint8 or int16 and an int8 element")
    assert "c[v_c_i, v_c_n] + b[v_c_k, v_c_n] * a[v_c_i, v_c_k]" in text
    assert "c[row, lane] + int32(a[row, k, q]) * int32(b[k, lane, q])" in text


def test_lanes_must_be_neighbours():
    a, b = te.placeholder((5, 7), DType.FLOAT32, "a"), te.placeholder((16, 7), DType.FLOAT32, "b")
    k = te.reduce_axis(7, "k")
    c = te.compute((5, 16), lambda i, n: te.sum_of(a[i, k] * b[n, k], k), "c")
    text = refused(te.lower("product", [a, b], [c]), "c_i", "fma")
    assert "one loop must move c by 1, b by 1 and a not at all: c_i moves a, b, c by 0, 7, 16" in text


def test_a_row_must_not_move_b():
    a, b = te.placeholder((5, 7), DType.FLOAT32, "a"), te.placeholder((5, 7, 16), DType.FLOAT32, "b")
    k = te.reduce_axis(7, "k")
    c = te.compute((5, 16), lambda i, n: te.sum_of(a[i, k] * b[i, k, n], k), "c")
    assert "loop c_i moves results and b: leave it outside" in refused(
        te.lower("product", [a, b], [c]), "c_i", "fma"
    )


def test_loops_must_be_as_long_in_all_of_the_nest():
    """The last part of a reduction is smaller, and the micro-kernel would read beyond it."""
    parts = schedule.apply(dot(3, 8, 16), [Split("c_k", 5, "ko", "ki"), Reorder(("c_i", "ko", "ki"))])
    assert "ki must be as long in all of the loop nest: split by a factor that divides" in refused(
        parts, "c_i", "dot"
    )


def test_an_unknown_intrinsic_is_named():
    with pytest.raises(CpuError, match=re.escape("intrinsic must be one of dot, fma, not 'gemm'")):
        schedule.apply(fma(), [Tensorise("c_i", "gemm")])


def test_a_product_of_something_else_is_none():
    a = te.placeholder((5, 16), DType.FLOAT32, "a")
    c = te.compute((5, 16), lambda i, n: a[i, n] + 1.0, "c")
    assert "no fma: block c must add to what it stores" in refused(te.lower("f", [a], [c]), "c_i", "fma")


def test_it_is_replayed_from_text_beside_the_primitives_of_every_target():
    steps = (Split("c_i", 4, "io", "ii"), Tensorise("ii", "dot"))
    text = schedule.print_schedule(steps)
    assert schedule.parse_schedule(text, further=(Tensorise,)) == steps
    with pytest.raises(schedule.ScheduleError, match="not 'tensorise'"):
        schedule.parse_schedule(text)
