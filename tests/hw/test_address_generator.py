from random import Random

from amaranth.sim import Simulator

from tilewright.hw.address_generator import PaddingCounter


def positions(before, inside, after):
    """(inside, last of those, last of all) at each position."""
    total = before + inside + after
    for place in range(total):
        is_inside = before <= place < before + inside
        yield is_inside, is_inside and place == before + inside - 1, place == total - 1


def test_a_band_goes_through_its_zones_and_begins_anew():
    random, counter = Random(0), PaddingCounter(5)

    async def testbench(ctx):
        for _ in range(40):
            lengths = [random.choice((0, 1, 2, random.randint(0, 6))) for _ in range(3)]
            if not any(lengths):
                continue
            for port, length in zip(counter.length, lengths, strict=True):
                ctx.set(port, length)
            ctx.set(counter.start, 1)
            ctx.set(counter.step, random.randint(0, 1))
            await ctx.tick()
            ctx.set(counter.start, 0)
            for expected in [*positions(*lengths)] * 2:
                found = ctx.get(counter.inside), ctx.get(counter.inside_ends), ctx.get(counter.ends)
                assert found == expected
                step = random.randint(0, 3)
                ctx.set(counter.step, 0)
                if not step:
                    await ctx.tick()
                ctx.set(counter.step, 1)
                await ctx.tick()

    simulator = Simulator(counter)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
