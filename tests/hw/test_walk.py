from random import Random

from amaranth.sim import Simulator

from tilewright.hw.walk import Band


def positions(before, inside, after):
    """(inside, last of those, last of all) at each position."""
    total = before + inside + after
    for place in range(total):
        is_inside = before <= place < before + inside
        yield is_inside, is_inside and place == before + inside - 1, place == total - 1


def test_a_band_goes_through_its_zones_and_begins_anew():
    random, band = Random(0), Band(5)

    async def testbench(ctx):
        for _ in range(40):
            lengths = [random.choice((0, 1, 2, random.randint(0, 6))) for _ in range(3)]
            if not any(lengths):
                continue
            for port, length in zip(band.length, lengths, strict=True):
                ctx.set(port, length)
            ctx.set(band.start, 1)
            ctx.set(band.step, random.randint(0, 1))
            await ctx.tick()
            ctx.set(band.start, 0)
            for expected in [*positions(*lengths)] * 2:
                found = ctx.get(band.inside), ctx.get(band.inside_ends), ctx.get(band.ends)
                assert found == expected
                step = random.randint(0, 3)
                ctx.set(band.step, 0)
                if not step:
                    await ctx.tick()
                ctx.set(band.step, 1)
                await ctx.tick()

    simulator = Simulator(band)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
