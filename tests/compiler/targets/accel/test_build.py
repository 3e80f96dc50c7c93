"""Functions of a user's own run on every device as numpy says, and errors name what does not fit."""

from dataclasses import replace

import numpy as np
import pytest

from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import (
    BufferDepth,
    CacheRead,
    CacheWrite,
    ComputeAt,
    Reorder,
    SetScope,
    Split,
    VirtualThread,
)
from tilewright.compiler.targets.accel.allocation import AllocationError
from tilewright.compiler.targets.accel.build import BuildError, build
from tilewright.compiler.targets.accel.enumerate import EnumerateError
from tilewright.compiler.targets.accel.tensorise import TensoriseError
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.expr import Const
from tilewright.isa.config import PRESETS
from tilewright.isa.fault import Cause, Fault, FaultEngine
from tilewright.isa.instruction import Load, Matrix, Store
from tilewright.runtime.device import DeviceResult
from tilewright.runtime.loader import LoadError
from tilewright.runtime.rtl_device import RtlDevice
from tilewright.runtime.rtl_toolchain import find_toolchain
from tilewright.runtime.sim_device import SimDevice

TINY = PRESETS["tiny"]
LANES = TINY.cols
INT8, INT32 = DType.INT8, DType.INT32
BLOCKS, ROWS, DEPTH = 2, 12, 3
"""A product of 12 x 12 by 12 x 8, in blocks of 4 lanes."""


@pytest.fixture(scope="module")
def device():
    return SimDevice(TINY)


def product():
    """sums = a · b, int32, in the layouts of the machine."""
    a = te.placeholder((DEPTH, ROWS, LANES), INT8, "a")
    b = te.placeholder((BLOCKS, DEPTH, LANES, LANES), INT8, "b")
    i, r = te.reduce_axis(DEPTH, "i"), te.reduce_axis(LANES, "r")

    def element(o, y, c):
        return te.sum_of(te.cast(a[i, y, r], INT32) * te.cast(b[o, i, r, c], INT32), (i, r))

    sums = te.compute((BLOCKS, ROWS, LANES), element, "sums")
    return te.lower("product", [a, b], [sums])


def tiled(rows=5, threads=1, depth=2):
    primitives = [
        CacheWrite("sums", MemoryScope.ACCUMULATOR, "tile"),
        Split("tile_y", rows, "yo", "yi"),
        Reorder(("yo", "tile_o", "yi", "tile_c")),
        ComputeAt("sums", "tile_o"),
        Reorder(("sums_i", "sums_o", "sums_y", "sums_r", "sums_c")),
        CacheRead("sums", "a", MemoryScope.ACTIVATION, "rows"),
        ComputeAt("rows", "sums_i"),
        CacheRead("sums", "b", MemoryScope.WEIGHT, "weights"),
        ComputeAt("weights", "sums_i"),
        *(BufferDepth(name, depth) for name in ("tile", "rows", "weights")),
    ]
    return primitives + ([VirtualThread("tile_o")] if threads > 1 else [])


def built(**choices):
    return build(schedule.apply(product(), tiled(**choices)), TINY)


def arrays():
    rng = np.random.default_rng(5)
    return {
        "a": rng.integers(-128, 128, (DEPTH, ROWS, LANES), np.int8),
        "b": rng.integers(-128, 128, (BLOCKS, DEPTH, LANES, LANES), np.int8),
    }


def expected(inputs):
    a, b = (inputs[name].astype(np.int32) for name in "ab")
    return np.einsum("iyr,oirc->oyc", a, b)


@pytest.mark.parametrize("choices", [{}, {"rows": 12}, {"threads": 2}, {"depth": 1}])
def test_a_product_is_numpys(device, choices):
    inputs = arrays()
    ran = built(**choices).run(device, inputs)
    assert ran.outputs.keys() == {"sums"}
    assert ran.outputs["sums"].dtype == np.int32
    np.testing.assert_array_equal(ran.outputs["sums"], expected(inputs))


def test_constants_are_loads_of_no_buffer(device):
    """A border around nothing, and a stage that holds one number."""
    a = te.placeholder((1, 2, LANES), INT8, "a")
    border = te.compute((1, 2, LANES), lambda o, y, c: Const(7, INT8), "border")
    total = te.compute(
        (1, 2, LANES), lambda o, y, c: te.cast(a[o, y, c], INT32) + te.cast(border[o, y, c], INT32), "total"
    )
    primitives = [
        CacheWrite("total", MemoryScope.ACCUMULATOR, "tile"),
        SetScope("border", MemoryScope.ACTIVATION),
        CacheRead("total", "a", MemoryScope.ACTIVATION, "rows"),
    ]
    function = schedule.apply(te.lower("bordered", [a], [total]), primitives)
    inputs = {"a": np.arange(2 * LANES, dtype=np.int8).reshape(1, 2, LANES)}
    outputs = build(function, TINY).run(device, inputs).outputs
    np.testing.assert_array_equal(outputs["total"], inputs["a"].astype(np.int32) + 7)


def test_a_run_tells_cycles_counters_and_times(device):
    kernel = built()
    result = kernel.run(device, arrays()).result
    assert result.cycles > 0
    assert result.counters["load_bytes"] == sum(
        load.n_z * load.n_y * load.n_x * LANES for load in kernel.instructions if isinstance(load, Load)
    )
    assert len(result.start) == len(kernel.instructions)
    assert (result.finish[:-1] >= result.start[:-1]).all()


def test_a_larger_depth_is_faster(device):
    one, two = (built(depth=count).run(device, arrays()).result.cycles for count in (1, 2))
    assert two < one


def test_regions_are_named_like_the_parameters():
    kernel = built()
    regions = [(region.name, region.size_bytes) for region in kernel.executable.regions]
    assert regions == [("a", 144), ("b", 96), ("sums", 384)]
    assert {each.base for each in kernel.instructions if isinstance(each, Store)} == {2}
    assert sum(isinstance(each, Matrix) for each in kernel.instructions) == 18


def test_what_lies_between_stages_has_memory_of_its_own(device):
    a = te.placeholder((9, LANES), INT8, "a")
    low = te.compute(a.shape, lambda y, c: te.maximum(a[y, c], -5), "low")
    high = te.compute(a.shape, lambda y, c: te.minimum(low[y, c], 5), "high")
    primitives = []
    for block, source in (("low", "a"), ("high", "low")):
        primitives += [
            CacheRead(block, source, MemoryScope.ACTIVATION, f"{block}_in"),
            CacheWrite(block, MemoryScope.ACTIVATION, f"{block}_out"),
        ]
    kernel = build(schedule.apply(te.lower("clip", [a], [high]), primitives), TINY)
    assert [region.name for region in kernel.executable.regions] == ["a", "high", "low"]
    values = np.arange(-18, 18, dtype=np.int8).reshape(9, LANES)
    np.testing.assert_array_equal(kernel.run(device, {"a": values}).outputs["high"], np.clip(values, -5, 5))


@pytest.mark.slow
def test_the_gates_give_the_same_bytes_and_cycles(device):
    if find_toolchain() is None:
        pytest.skip("needs Verilator and a C++ compiler: tilewright doctor --for rtl")
    kernel, inputs = built(threads=2), arrays()
    simulated, gates = (kernel.run(each, inputs) for each in (device, RtlDevice(TINY)))
    np.testing.assert_array_equal(gates.outputs["sums"], simulated.outputs["sums"])
    assert gates.result.cycles == simulated.result.cycles


# --- what does not fit -------------------------------------------------------------------------------------


def test_inputs_must_be_the_functions(device):
    kernel, inputs = built(), arrays()
    with pytest.raises(
        BuildError, match=r"inputs of product must be a: int8\[3, 12, 4\], b: .*, not \['a'\]"
    ):
        kernel.run(device, {"a": inputs["a"]})
    with pytest.raises(BuildError, match=r"input a: int8\[3, 12, 4\] must be .*, not int8\[12, 12\]"):
        kernel.run(device, inputs | {"a": inputs["a"].reshape(12, 12)})
    with pytest.raises(BuildError, match=r"input b: int8.* must be of this type and shape, not int32"):
        kernel.run(device, inputs | {"b": inputs["b"].astype(np.int32)})


def test_a_device_must_be_of_the_configuration():
    with pytest.raises(LoadError, match="must be for configuration"):
        built().run(SimDevice(PRESETS["ecp5-85f"]), arrays())


def test_a_function_without_memories_is_no_program():
    with pytest.raises(TensoriseError, match="no instruction writes global memory from global"):
        build(product(), TINY)


def test_a_buffer_outside_of_the_chip_must_lie_outside_of_loops():
    a = te.placeholder((9, LANES), INT8, "a")
    low = te.compute(a.shape, lambda y, c: te.maximum(a[y, c], -5), "low")
    high = te.compute(a.shape, lambda y, c: te.minimum(low[y, c], 5), "high")
    function = schedule.apply(te.lower("clip", [a], [high]), [ComputeAt("low", "high_y")])
    with pytest.raises(BuildError, match=r"buffer 'low' must be on the chip inside of loop 'high_y'"):
        build(function, TINY)


def test_there_are_only_so_many_base_registers():
    inputs = [te.placeholder((1, LANES), INT8, f"x{number}") for number in range(8)]
    total = inputs[0]
    result = te.compute(total.shape, lambda y, c: te.maximum(inputs[0][y, c], inputs[7][y, c]), "most")
    with pytest.raises(
        BuildError, match=r"at most 8 buffers outside of the chip, .*, not 9 \(x0, .*, most\)"
    ):
        build(te.lower("most", inputs, [result]), TINY)


def test_threads_need_depth_and_tiles_must_fit():
    with pytest.raises(EnumerateError, match="give it an instance for each virtual thread"):
        built(threads=2, depth=1)
    whole = [
        CacheWrite("sums", MemoryScope.ACCUMULATOR, "tile"),
        CacheRead("sums", "a", MemoryScope.ACTIVATION, "rows"),
        CacheRead("sums", "b", MemoryScope.WEIGHT, "weights"),
    ]
    small = replace(TINY, accumulator_vectors=16)
    with pytest.raises(
        AllocationError, match=r"accumulator memory must fit 2 banks of 16 vectors, .* tile 1 x 24"
    ):
        build(schedule.apply(product(), whole), small)


def test_a_fault_is_no_output():
    class Faulty:
        def run(self, executable, regions):
            fault = Fault(7, FaultEngine.LOAD, 1, Cause.BUS)
            nothing = np.empty(0, np.int64)
            return DeviceResult(
                regions={},
                cycles=9,
                fault=fault,
                counters={},
                dispatch=nothing,
                start=nothing,
                finish=nothing,
                seconds=0.0,
            )

    with pytest.raises(BuildError, match="product must run to its end, not to fault BUS in cycle 7"):
        built().run(Faulty(), arrays())


def test_scopes_of_sums_are_the_users_to_name(device):
    """A stage between, on the chip: results go through the vector engine."""
    a = te.placeholder((1, 5, LANES), INT8, "a")
    b = te.placeholder((1, 1, LANES, LANES), INT8, "b")
    r = te.reduce_axis(LANES, "r")
    sums = te.compute(
        (1, 5, LANES),
        lambda o, y, c: te.sum_of(te.cast(a[0, y, r], INT32) * te.cast(b[o, 0, r, c], INT32), r),
        "sums",
    )
    result = te.compute(
        sums.shape, lambda o, y, c: te.cast(te.clamp(sums[o, y, c], -100, 90), INT8), "result"
    )
    primitives = [
        SetScope("sums", MemoryScope.ACCUMULATOR),
        CacheRead("sums", "a", MemoryScope.ACTIVATION, "rows"),
        CacheRead("sums", "b", MemoryScope.WEIGHT, "weights"),
        CacheWrite("result", MemoryScope.ACTIVATION, "tile"),
    ]
    kernel = build(schedule.apply(te.lower("dense", [a, b], [result]), primitives), TINY)
    rng = np.random.default_rng(2)
    x, w = (rng.integers(-9, 9, shape, np.int8) for shape in ((1, 5, LANES), (1, 1, LANES, LANES)))
    want = np.clip(x[0].astype(np.int32) @ w[0, 0], -100, 90)
    np.testing.assert_array_equal(kernel.run(device, {"a": x, "b": w}).outputs["result"][0], want)


@te.hybrid
def doubled(x):
    """Twice the values, element by element."""
    result = te.output(x.shape[0], np.int32)
    for i in range(x.shape[0]):
        result[i] = x[i] * 2
    return result


def test_a_python_function_is_refused_by_name():
    x = te.placeholder((8,), INT32, "x")
    with pytest.raises(
        TensoriseError, match="not calls or Python functions as 'doubled': run these on the host"
    ):
        build(te.lower("f", [x], [doubled(x)]), TINY)
