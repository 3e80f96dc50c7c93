from random import Random

from amaranth.sim import Simulator

from tilewright.hw.fault import FaultRecorder
from tilewright.isa.fault import Cause, FaultEngine


def first_fault(random):
    """Reports of each engine until one comes: the recorder must keep that of the lowest engine then."""
    recorder, share = FaultRecorder(), random.choice((0.02, 0.3, 0.9))
    faults = [cause for cause in Cause if cause]

    async def bench(ctx):
        kept = None
        for cycle in range(30):
            running = cycle > 3
            ctx.set(recorder.running, running)
            ctx.set(recorder.cycle, cycle)
            reports = {}
            for engine in FaultEngine:
                report = recorder.report[engine]
                index, cause = random.randrange(1 << 20), random.choice(faults)
                if random.random() < share:
                    reports[engine] = (cycle, engine, index, cause)
                for name, value in (("valid", engine in reports), ("index", index), ("cause", cause)):
                    ctx.set(getattr(report, name), value)
            assert ctx.get(recorder.halted) == (kept is not None)
            assert ctx.get(recorder.now) == (kept is None and running and bool(reports))
            if kept is None and running and reports:
                kept = reports[min(reports)]
            await ctx.tick()
            if kept is not None:
                names = ("cycle", "engine", "index", "cause")
                assert tuple(ctx.get(getattr(recorder.record, name)) for name in names) == kept

    simulator = Simulator(recorder)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_the_first_fault_is_kept_and_of_one_cycle_that_of_the_lowest_engine():
    for seed in range(10):
        first_fault(Random(seed))
