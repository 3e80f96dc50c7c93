from collections import deque
from random import Random

from amaranth.sim import Simulator

from dma.draw import CONFIGS
from tilewright.hw.landing import Landing


def test_beats_are_taken_in_order_and_come_out_two_cycles_later():
    config = CONFIGS["bus-between"]  # its ring is small enough to be filled many times
    random, landing = Random(0), Landing(config)

    async def testbench(ctx):
        held, taken = deque(), deque([None, None])
        most = 0
        for t in range(600):
            came = len(held) < landing.depth and random.random() < (0.9 if t % 100 < 50 else 0.3)
            beat = {"valid": came, "data": random.getrandbits(64), "error": t % 5 == 0}
            ctx.set(landing.beat, beat)
            assert ctx.get(landing.available) == bool(held)
            takes = bool(held) and random.random() < (0.4 if t % 100 < 50 else 0.9)
            ctx.set(landing.take, takes)
            taken.append(held.popleft() if takes else None)
            found, expected = ctx.get(landing.taken), taken.popleft()
            assert found.valid == (expected is not None)
            if expected:
                assert {name: found[name] for name in expected} == expected
            if came:
                held.append(beat)
            most = max(most, len(held))
            await ctx.tick()
        assert most == landing.depth

    simulator = Simulator(landing)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
