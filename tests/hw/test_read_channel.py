from amaranth.sim import Simulator

from dma.draw import CONFIGS
from tilewright.hw.axi import ReadId
from tilewright.hw.read_channel import ReadChannel


def simulate(testbench):
    channel = ReadChannel(CONFIGS["bus-narrow"])
    simulator = Simulator(channel)
    simulator.add_clock(1e-6)

    async def run(ctx):
        await testbench(ctx, channel)

    simulator.add_testbench(run)
    simulator.run()


def test_two_that_ask_take_turns_and_fetch_is_first():
    async def testbench(ctx, channel):
        for request in (channel.fetch_request, channel.load_request):
            ctx.set(request.valid, 1)
        ctx.set(channel.arready, 1)
        owners = []
        for _ in range(5):
            await ctx.tick()
            assert ctx.get(channel.arvalid)
            owners.append(ReadId(ctx.get(channel.arid)))
        assert owners == [ReadId.FETCH, ReadId.LOAD, ReadId.FETCH, ReadId.LOAD, ReadId.FETCH]

    simulate(testbench)


def test_one_that_asks_alone_does_not_lose_its_turn_to_one_that_does_not():
    async def testbench(ctx, channel):
        ctx.set(channel.arready, 1)
        ctx.set(channel.load_request.valid, 1)
        for _ in range(3):
            assert ctx.get(channel.load_request.ready)
            await ctx.tick()
        ctx.set(channel.fetch_request.valid, 1)
        assert ctx.get(channel.fetch_request.ready)
        assert not ctx.get(channel.load_request.ready)

    simulate(testbench)


def test_a_burst_waits_on_the_bus_as_it_is_until_it_is_accepted():
    async def testbench(ctx, channel):
        burst = {"address": 0x1234_5678_9ABC_DEC0, "beats_minus_1": 7, "size": 3}
        ctx.set(channel.load_request.payload, burst)
        ctx.set(channel.load_request.valid, 1)
        await ctx.tick()
        ctx.set(channel.load_request.payload, {"address": 0, "beats_minus_1": 0, "size": 0})
        for _ in range(3):
            assert not ctx.get(channel.load_request.ready)
            assert ctx.get(channel.arvalid)
            pins = (channel.araddr, channel.arlen, channel.arsize)
            assert tuple(map(ctx.get, pins)) == tuple(burst.values())
            await ctx.tick()
        ctx.set(channel.arready, 1)
        assert ctx.get(channel.load_request.ready)

    simulate(testbench)


def test_a_beat_goes_to_whom_it_is_for_one_cycle_later():
    async def testbench(ctx, channel):
        beats = {ReadId.FETCH: channel.fetch_beat, ReadId.LOAD: channel.load_beat}
        for owner, response in ((ReadId.LOAD, 2), (ReadId.FETCH, 0), (ReadId.FETCH, 3)):
            assert ctx.get(channel.rready)
            ctx.set(channel.rvalid, 1)
            ctx.set(channel.rid, owner)
            ctx.set(channel.rdata, 42 + response)
            ctx.set(channel.rresp, response)
            await ctx.tick()
            assert [ctx.get(beats[other].valid) for other in ReadId] == [other == owner for other in ReadId]
            assert ctx.get(beats[owner].data) == 42 + response
            assert ctx.get(beats[owner].error) == (response >= 2)

    simulate(testbench)
