from collections import Counter
from random import Random

from amaranth.sim import Simulator

from tilewright.hw.counter import ENGINE_COUNTERS, TRAFFIC, Counters
from tilewright.isa.memory import Engine


def kind(occupied, heading, tokens_ready):
    """The one counter that a cycle of an engine belongs to, None if it is idle."""
    if occupied:
        return "busy"
    if heading:
        return "stalled" if tokens_ready else "waiting"
    return None


def test_each_cycle_of_an_engine_is_counted_once_and_each_accepted_byte():
    random, counters, wanted = Random(1), Counters(), Counter()

    async def bench(ctx):
        for _ in range(300):
            running = random.random() < 0.9
            ctx.set(counters.running, running)
            flags = {name: random.randrange(16) for name in ("occupied", "heading", "tokens_ready")}
            for name, value in flags.items():
                ctx.set(getattr(counters, name), value)
            wanted["cycles"] += running
            for engine in Engine:
                name = kind(*(value >> engine & 1 for value in flags.values()))
                if running and name is not None:
                    wanted[f"{engine.label}_{name}"] += 1
            for index, name in enumerate(TRAFFIC):
                beats, size, valid = random.randint(1, 256), random.randrange(7), random.random() < 0.3
                for field, value in (("valid", valid), ("beats_minus_1", beats - 1), ("size", size)):
                    ctx.set(getattr(counters.accepted[index], field), value)
                wanted[f"{name}_bytes"] += valid * (beats << size)
            await ctx.tick()
        # What is counted goes through one register.
        ctx.set(counters.running, 0)
        for index in range(len(TRAFFIC)):
            ctx.set(counters.accepted[index].valid, 0)
        await ctx.tick()
        names = [f"{engine.label}_{name}" for engine in Engine for name in ENGINE_COUNTERS]
        for name in ("cycles", *names, *(f"{name}_bytes" for name in TRAFFIC)):
            assert ctx.get(getattr(counters.count, name)) == wanted[name], name

    simulator = Simulator(counters)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
