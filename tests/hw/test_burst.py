from random import Random

import pytest
from amaranth.sim import Simulator

from dma.draw import CONFIGS, draw_load, draw_world
from dma.reference import Burst, bursts_of
from tilewright.hw.burst import BurstGenerator
from tilewright.isa.instruction import Load, specs
from tilewright.isa.memory import Memory
from tilewright.isa.timing import DMA_SETUP


async def collect(ctx, generator, load, random, eagerness):
    """Start a load; its bursts and the cycles of their grants since, until the generator is ready again."""
    ctx.set(generator.head, {name: int(getattr(load, name)) for name in specs(Load)})
    ctx.set(generator.start, 1)
    found, request = [], generator.request
    for cycle in range(10000):
        ready = random.random() < eagerness
        ctx.set(request.ready, ready)
        if ctx.get(request.valid) and ready:
            payload = ctx.get(request.payload)
            burst = Burst(payload.address, payload.beats_minus_1 + 1, payload.size)
            found.append((cycle, burst, bool(payload.last)))
        await ctx.tick()
        ctx.set(generator.start, 0)
        if ctx.get(generator.ready):
            return found, cycle
    raise AssertionError("the last burst never came")


def run(config, loads, eagerness):
    """Check the bursts of each load against the reference; their grants."""
    random, world = Random(0), draw_world(Random(0), config)
    generator, grants = BurstGenerator(config, Load), []

    async def testbench(ctx):
        for port, base in zip(generator.bases, world.bases, strict=True):
            ctx.set(port, base)
        for load in loads:
            found, free = await collect(ctx, generator, load, random, eagerness)
            expected = bursts_of(world, load)
            assert [burst for _, burst, _ in found] == expected
            assert [last for *_, last in found] == [burst is expected[-1] for burst in expected]
            assert free == (found[-1][0] if found else 0)
            grants.append([cycle for cycle, *_ in found])

    simulator = Simulator(generator)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return grants


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_bursts_are_those_of_the_block_at_any_rhythm(config):
    random = Random(3)
    run(config, [draw_load(random, config) for _ in range(25)], eagerness=0.6)


def test_a_bus_that_takes_all_gets_one_a_cycle_from_the_setup_on():
    config = CONFIGS["bus-narrow"]
    random = Random(4)
    for grants in run(config, [draw_load(random, config) for _ in range(12)], eagerness=1):
        assert grants == list(range(DMA_SETUP, DMA_SETUP + len(grants)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bus-wide", "bus-narrow"])
def test_long_runs_and_far_addresses_carry_through_all_bits(name):
    """Runs of many blocks from everywhere in a block, strides of full width, sums beyond 2 ** 64."""
    random, config = Random(5), CONFIGS[name]
    loads = []
    for memory in Memory:
        beat, vector = config.transfer_bytes(memory), config.vector_bytes(memory)
        offset = random.randrange((1 << 48) // beat) * beat
        loads.append(Load(memory=memory, offset=offset, n_x=random.randint(200, 300), stride_x=vector))
        far = {"stride_z": -(1 << 31), "stride_y": (1 << 31) - beat, "stride_x": -(1 << 23)}
        loads.append(Load(memory=memory, n_z=2, n_y=3, n_x=2, **far))
    run(config, loads, eagerness=0.9)
