"""Programs on the machine, run by cocotb: the bytes are right whatever the timing of the bus."""

import os
from typing import Any

import cocotb
import numpy as np
from tests.cocotb.bench import Bench, differences
from tests.cocotb.case import fill_case, product_case, random_case
from tests.cocotb.memory import MEMORIES

from tilewright.isa.config import load_config
from tilewright.isa.state import State

CONFIG = load_config(os.environ["TILEWRIGHT_CONFIG"])
SEEDS = range(int(os.environ["TILEWRIGHT_SEEDS"]))
INSTRUCTIONS = 12
TIMINGS = 2
"""How often a program runs; the rests of the bus go on at random, so each time it has another timing."""


@cocotb.test()
@cocotb.parametrize(model=tuple(MEMORIES), seed=SEEDS)
async def random_programs_leave_the_bytes_they_mean(dut: Any, model: str, seed: int) -> None:
    bench = await Bench.powered(dut, CONFIG, model, seed)
    rng, state = np.random.default_rng(seed), State(CONFIG)
    await bench.run(fill_case(rng, CONFIG), state)
    case = random_case(rng, CONFIG, INSTRUCTIONS)
    for _ in range(TIMINGS):
        await bench.run(case, state)


@cocotb.test()
@cocotb.parametrize(model=tuple(MEMORIES))
async def a_matrix_product_is_numpys_at_any_timing(dut: Any, model: str) -> None:
    bench = await Bench.powered(dut, CONFIG, model)
    case, product = product_case(np.random.default_rng(1), CONFIG)
    seen = set()
    for _ in range(TIMINGS):
        outcome = await bench.run(case, State(CONFIG))
        seen.add(outcome.cycles)
        first = case.image().bases[3]
        assert bench.storage.data[first : first + len(product)] == product
    await bench.check_counters(outcome.cycles)
    assert len(seen) > 1, "the timing of the bus must differ"


@cocotb.test()
async def a_memory_that_flips_a_bit_is_noticed(dut: Any) -> None:
    bench = await Bench.powered(dut, CONFIG, "in_order")
    case, _ = product_case(np.random.default_rng(1), CONFIG)
    place = case.image().bases[3] + 3
    bench.storage.flipped_bit = 8 * place
    expected = case.expected(State(CONFIG))
    await bench.start(case)
    await bench.finish()
    assert differences(expected, bench.storage.data) == [place]
