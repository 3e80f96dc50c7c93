import numpy as np
import pytest
from amaranth.sim import Simulator

from tilewright.hw.array import SystolicArray
from tilewright.isa.config import Config

SIZES = {
    "activation_banks": 2,
    "activation_vectors": 16,
    "weight_vectors": 16,
    "accumulator_vectors": 16,
    "parameter_vectors": 16,
}


def schedule(rng, rows, tiles):
    """Cycle of row 0, cycle of the first vector and number of vectors of each tile, often without gaps."""
    load = 0
    for _ in range(tiles):
        vectors = int(rng.choice([1, rows - 1, rows, rows + 3]))
        swap = load + rows + int(rng.choice([0, 0, 3]))
        yield load, swap, vectors
        load = max(swap, swap + vectors - rows) + int(rng.choice([0, 0, 2]))


def stimulus(rng, rows, cols, tiles):
    """What goes into the array in each cycle, and what is due at its end: None where nothing is."""
    plan = list(schedule(rng, rows, tiles))
    cycles = max(swap + vectors for _, swap, vectors in plan) + rows + cols + 2
    inputs = {
        "activation": rng.integers(-128, 128, (cycles, rows)),
        "weight": rng.integers(-128, 128, (cycles, cols)),
        "swap": np.zeros(cycles, int),
        "load": np.zeros(cycles, int),
    }
    due = [None] * cycles
    for place, (load, swap, vectors) in enumerate(plan):
        if place == 1:  # the largest sum that there is
            inputs["activation"][swap : swap + vectors] = inputs["weight"][load : load + rows] = -128
        inputs["load"][load] = inputs["swap"][swap - 1] = 1
    for load, swap, vectors in plan:
        for cycle in range(swap, swap + vectors):
            due[cycle + rows + cols + 1] = inputs["activation"][cycle] @ inputs["weight"][load : load + rows]
    return inputs, due


@pytest.mark.parametrize(("rows", "cols"), [(4, 4), (4, 8), (8, 16)])
def test_tiles_follow_each_other_without_a_gap(rows, cols):
    array = SystolicArray(Config(rows=rows, cols=cols, **SIZES))
    inputs, due = stimulus(np.random.default_rng(rows + cols), rows, cols, tiles=8)
    assert array.latency == rows + cols + 1

    async def bench(ctx):
        for cycle, result in enumerate(due):
            ctx.set(array.swap, int(inputs["swap"][cycle]))
            ctx.set(array.load, int(inputs["load"][cycle]))
            for name in ("activation", "weight"):
                for port, value in zip(getattr(array, name), inputs[name][cycle].tolist(), strict=True):
                    ctx.set(port, value)
            if result is not None:
                assert [ctx.get(column) for column in array.result] == result.tolist()
            await ctx.tick()

    simulator = Simulator(array)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
