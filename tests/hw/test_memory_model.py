"""What the tests of load and store do not ask of the memory model; those hold its time and its bytes."""

from amaranth.sim import Simulator

from dma.draw import CONFIGS
from tilewright.hw.memory_model import OutsideMemory


def simulate(testbench, *, latency=3, outstanding=2, size=1 << 12):
    model = OutsideMemory(CONFIGS["bus-narrow"])
    simulator = Simulator(model)
    simulator.add_clock(1e-6)

    async def run(ctx):
        for port, value in ((model.latency, latency), (model.outstanding, outstanding), (model.size, size)):
            ctx.set(port, value)
        await testbench(ctx, model)

    simulator.add_testbench(run)
    simulator.run()


async def trace(ctx, pins, cycles):
    """The values of the pins in each of the next cycles."""
    found = []
    for _ in range(cycles):
        found.append(tuple(map(ctx.get, pins)))
        await ctx.tick()
    return found


def test_reads_come_after_the_latency_one_a_cycle_and_no_more_are_accepted_than_allowed():
    async def testbench(ctx, model):
        ctx.set(model.arvalid, 1)
        ctx.set(model.arlen, 1)
        ctx.set(model.rready, 1)
        found = await trace(ctx, (model.arready, model.rvalid, model.rlast), 9)
        # Accepted in 0 and 1; beats from 0 + 3 on; room again one cycle after each burst's last beat.
        assert [ready for ready, _, _ in found] == [1, 1, 0, 0, 0, 1, 0, 1, 0]
        assert [valid and 1 + last for _, valid, last in found] == [0, 0, 0, 1, 2, 1, 2, 0, 1]

    simulate(testbench)


def test_a_beat_waits_for_its_ready():
    async def testbench(ctx, model):
        ctx.set(model.arvalid, 1)
        ctx.set(model.araddr, 64)
        await ctx.tick()
        ctx.set(model.arvalid, 0)
        await ctx.tick().repeat(2)
        assert await trace(ctx, (model.rvalid, model.read_address), 3) == [(1, 64)] * 3

    simulate(testbench)


def test_beats_beyond_the_memory_are_in_error_and_read_zero_and_are_not_written():
    async def testbench(ctx, model):
        ctx.set(model.read_data, 5)
        for name in ("arvalid", "awvalid", "wvalid", "wlast", "rready", "bready"):
            ctx.set(getattr(model, name), 1)
        for name in ("araddr", "awaddr"):
            ctx.set(getattr(model, name), (1 << 12) - 8)
        await ctx.tick()
        for name in ("araddr", "awaddr"):
            ctx.set(getattr(model, name), 1 << 12)
        writes = await trace(ctx, (model.wready, model.write_enable), 2)
        assert writes == [(1, 1), (1, 0)]
        reads = await trace(ctx, (model.rvalid, model.rdata, model.rresp), 2)
        assert reads == [(1, 5, 0), (1, 0, 2)]
        answers = await trace(ctx, (model.bvalid, model.bresp), 2)
        assert answers[-1] == (1, 2)

    simulate(testbench)


def test_a_write_beat_waits_for_its_address_and_its_answer_takes_the_latency():
    async def testbench(ctx, model):
        ctx.set(model.wvalid, 1)
        ctx.set(model.wlast, 1)
        assert await trace(ctx, (model.wready,), 2) == [(0,)] * 2
        ctx.set(model.awvalid, 1)
        await ctx.tick()
        ctx.set(model.awvalid, 0)
        assert ctx.get(model.wready)
        await ctx.tick()
        ctx.set(model.wvalid, 0)
        # The beat passed in the cycle before; an answer stays until it is taken.
        assert await trace(ctx, (model.bvalid,), 5) == [(0,), (0,), (1,), (1,), (1,)]

    simulate(testbench)


def test_a_silent_memory_accepts_and_answers_nothing():
    async def testbench(ctx, model):
        for name in ("arvalid", "awvalid", "rready", "bready"):
            ctx.set(getattr(model, name), 1)
        await ctx.tick()
        ctx.set(model.wvalid, 1)
        ctx.set(model.silent, 1)
        pins = (model.arready, model.rvalid, model.awready, model.wready, model.bvalid)
        assert await trace(ctx, pins, 8) == [(0,) * 5] * 8

    simulate(testbench)
