import itertools

import numpy as np
import pytest
from amaranth.sim import Simulator

from tilewright.hw.address import LoopNest, Variation
from tilewright.hw.request import BankRequest
from tilewright.isa.config import PRESETS
from tilewright.isa.memory import Memory


def iterations(counts, bases, strides, bits):
    """Addresses of all operands and the loops that end, iteration by iteration."""
    for passes in itertools.product(*map(range, counts)):
        addresses = [
            (base + int(np.dot(passes, row))) % 2**bits for base, row in zip(bases, strides, strict=True)
        ]
        last = [place == count - 1 for place, count in zip(passes, counts, strict=True)]
        ends = sum(1 << level for level in range(len(counts)) if all(last[level:]))
        yield addresses, ends


def random_nest(rng, levels, operands, bits):
    counts = rng.integers(1, 5, levels).tolist()
    bases = rng.integers(0, 2**bits, operands).tolist()
    strides = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (operands, levels)).tolist()
    return counts, bases, strides


async def check_nest(ctx, nest, rng, bits, until):
    """Start the nest, read its first address in the next cycle, step at random up to iteration `until`."""
    counts, bases, strides = random_nest(rng, len(nest.count), len(nest.base), bits)
    for port, value in zip(nest.count, counts, strict=True):
        ctx.set(port, value)
    for operand, (base, row) in enumerate(zip(bases, strides, strict=True)):
        ctx.set(nest.base[operand], base)
        for level, stride in enumerate(row):
            ctx.set(nest.stride[operand][level], stride)
    ctx.set(nest.start, 1)
    await ctx.tick()
    ctx.set(nest.start, 0)
    for port in nest.count:  # nothing is read after the start
        ctx.set(port, 0)
    for addresses, ends in itertools.islice(iterations(counts, bases, strides, bits), until):
        for idle in range(1 + int(rng.integers(3)) * int(rng.integers(2))):
            ctx.set(nest.step, 0)
            if idle:
                await ctx.tick()
            assert [ctx.get(address) for address in nest.address] == addresses
            assert (ctx.get(nest.ends), ctx.get(nest.done)) == (ends, ends & 1)
        ctx.set(nest.step, not ends & 1)
        if not ends & 1:
            await ctx.tick()
    # What remains up is overruled by the next start.


@pytest.mark.parametrize(
    ("count_bits", "bits", "operands"), [((8, 8, 12, 12, 12), 25, 1), ((12, 12, 8, 8), 20, 3), ((3,), 4, 1)]
)
def test_a_nest_steps_through_its_loops_one_address_a_cycle(count_bits, bits, operands):
    rng = np.random.default_rng(len(count_bits))
    nest = LoopNest(count_bits, bits, operands=operands)

    async def bench(ctx):
        for until in [None, 1, 7, None, 3, *[None] * 6]:
            await check_nest(ctx, nest, rng, bits, until)

    simulate(nest, bench)


def varied_iterations(nest, counts, further_count, bases, strides, entry, further, bits):
    """The same of a nest that varies, if further_count is not 0."""
    loop = nest.counter.variation.loop
    for outer in itertools.product(*map(range, counts[:-1])):
        varies = bool(further_count and outer[loop])
        count = further_count if varies else counts[-1]
        for inner in range(count):
            passes = (*outer, inner)
            addresses = [base + int(np.dot(passes, row)) for base, row in zip(bases, strides, strict=True)]
            if varies:
                addresses[0] += entry - strides[0][loop] + inner * (further - strides[0][-1])
            last = [place == most - 1 for place, most in zip(passes, [*counts[:-1], count], strict=True)]
            ends = sum(1 << level for level in range(len(counts)) if all(last[level:]))
            yield [address % 2**bits for address in addresses], ends, int(varies)


async def check_varied_nest(ctx, nest, rng, bits, further_count):
    counts, bases, strides = random_nest(rng, len(nest.count), len(nest.base), bits)
    entry, further = (int(rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1))) for _ in range(2))
    ports = [*nest.count, *nest.base, *itertools.chain.from_iterable(nest.stride)]
    values = [*counts, *bases, *itertools.chain.from_iterable(strides)]
    for port, value in zip(ports, values, strict=True):
        ctx.set(port, value)
    ctx.set(nest.further_count, further_count)
    ctx.set(nest.start, 1)
    await ctx.tick()
    ctx.set(nest.start, 0)
    ctx.set(nest.further_count, 0)
    ctx.set(nest.entry_stride, entry)
    ctx.set(nest.further_stride, further)
    walk = varied_iterations(nest, counts, further_count, bases, strides, entry, further, bits)
    for addresses, ends, varies in walk:
        # Other operands need their addresses only where the nest has not varied.
        seen = [ctx.get(address) for address in nest.address]
        assert seen[:1] == addresses[:1] if varies else seen == addresses
        assert (ctx.get(nest.ends), ctx.get(nest.done), ctx.get(nest.further)) == (ends, ends & 1, varies)
        ctx.set(nest.step, not ends & 1)
        await ctx.tick()
    ctx.set(nest.step, 0)


@pytest.mark.parametrize(("loop", "levels"), [(1, 4), (0, 3), (1, 3)])
def test_a_nest_can_have_another_innermost_loop_in_further_passes_of_one(loop, levels):
    rng = np.random.default_rng(levels + loop)
    nest = LoopNest((8,) * levels, 12, operands=2, variation=Variation(loop=loop, count_bits=2))

    async def bench(ctx):
        for further_count in [1, 2, 3, 0, 1, 0, *rng.integers(4, size=20).tolist()]:
            await check_varied_nest(ctx, nest, rng, 12, further_count)

    simulate(nest, bench)


def test_counts_as_wide_as_their_fields():
    nest = LoopNest((2, 12), 20)

    async def bench(ctx):
        for port, value in zip(nest.count, (2, 4095), strict=True):
            ctx.set(port, value)
        ctx.set(nest.stride[0][1], 1)
        ctx.set(nest.start, 1)
        await ctx.tick()
        ctx.set(nest.start, 0)
        ctx.set(nest.step, 1)
        await ctx.tick().repeat(4094)
        assert (ctx.get(nest.address[0]), ctx.get(nest.ends)) == (4094, 0b10)
        await ctx.tick()
        assert (ctx.get(nest.address[0]), ctx.get(nest.ends)) == (0, 0)

    simulate(nest, bench)


def test_requests_stay_in_the_bank_of_the_first_address():
    config = PRESETS["tiny"]
    slices = 4
    unit = BankRequest(config, Memory.ACTIVATION, address_bits=25, slices=slices)
    depth = config.depth(Memory.ACTIVATION) * slices
    rng = np.random.default_rng(1)

    async def bench(ctx):
        for _ in range(50):
            bank = int(rng.integers(config.banks(Memory.ACTIVATION)))
            ctx.set(unit.base, bank * depth + int(rng.integers(depth)))
            ctx.set(unit.start, 1)
            ctx.set(unit.valid, 0)
            await ctx.tick()
            ctx.set(unit.start, 0)
            await check_request(ctx, unit, bank * depth + int(rng.integers(-4, depth + 4)), bank)
            await check_request(ctx, unit, int(rng.integers(2**25)), bank)

    async def check_request(ctx, unit, address, bank):
        address %= 2**25
        inside = address // depth == bank
        ctx.set(unit.valid, 1)
        ctx.set(unit.address, address)
        assert ctx.get(unit.outside) == (not inside)
        await ctx.tick()
        ctx.set(unit.valid, 0)
        assert ctx.get(unit.request.enable) == inside
        if inside:
            vector, part = divmod(address % depth, slices)
            found = (ctx.get(unit.request.bank), ctx.get(unit.request.vector), ctx.get(unit.slice))
            assert found == (bank, vector, part)

    simulate(unit, bench)


def simulate(unit, bench):
    simulator = Simulator(unit)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
