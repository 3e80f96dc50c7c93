"""The load and store engines on their bus, driven cycle by cycle and logged like the reference."""

import random

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.sim import Simulator

from dma.reference import Burst, Events
from tilewright.hw.load import LoadEngine
from tilewright.hw.memory_model import OutsideMemory
from tilewright.hw.read_channel import ReadChannel
from tilewright.hw.request import READ_LATENCY
from tilewright.hw.store import StoreEngine
from tilewright.isa.config import IN_FLIGHT
from tilewright.isa.instruction import specs
from tilewright.isa.memory import Memory


def connect_pins(m, master, slave):
    """Connect those pins that both have."""
    for name, member in slave.signature.members.items():
        if name in master.signature.members:
            ours, theirs = getattr(slave, name), getattr(master, name)
            m.d.comb += ours.eq(theirs) if member.flow is wiring.In else theirs.eq(ours)


class Bench(wiring.Component):
    """An engine, the units around it, and what has one bit in one signal: one look a cycle, not many."""

    def __init__(self, engine, **flags):
        super().__init__({})
        self.engine = engine
        control = engine.control
        self.flags = flags | {"ready": control.ready, "finish": control.finish, "fault": control.fault.valid}
        self.packed = Signal(len(self.flags))

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = self.engine
        m.d.comb += self.packed.eq(Cat(self.flags.values()))
        self.connect(m)
        return m

    def look(self, ctx):
        """The flags of this cycle, by name."""
        value = ctx.get(self.packed)
        return {name: value >> place & 1 for place, name in enumerate(self.flags)}


class LoadBench(Bench):
    """Load engine and read channel, with or without a memory model."""

    def __init__(self, config, model=None):
        self.channel, self.model = ReadChannel(config), model
        engine = LoadEngine(config)
        enables = {memory.label: getattr(engine, f"{memory.label}_write").enable for memory in Memory}
        read_enable = {"read_enable": model.read_enable} if model else {}
        super().__init__(
            engine,
            valid=self.channel.arvalid,
            accepted=self.channel.arready,
            granted=self.channel.fetch_request.ready,
            **enables,
            **read_enable,
        )

    def connect(self, m):
        m.submodules.channel = self.channel
        wiring.connect(m, self.engine.request, self.channel.load_request)
        m.d.comb += self.engine.beat.eq(self.channel.load_beat)
        if self.model:
            m.submodules.model = self.model
            connect_pins(m, self.channel, self.model)


class StoreBench(Bench):
    """Store engine, with or without a memory model."""

    def __init__(self, config, model=None):
        engine, self.model = StoreEngine(config), model
        reads = {memory.label: getattr(engine, f"{memory.label}_read").enable for memory in Memory}
        pins = {
            "valid": engine.awvalid,
            "accepted": engine.awready,
            "wvalid": engine.wvalid,
            "wready": engine.wready,
        }
        writes = {"write_enable": model.write_enable} if model else {}
        super().__init__(engine, **pins, **reads, **writes)

    def connect(self, m):
        if self.model:
            m.submodules.model = self.model
            connect_pins(m, self.engine, self.model)


class Scoreboard:
    """Starts jobs as the scoreboard of the machine does, and logs the engine's side of it."""

    def __init__(self, engine, jobs):
        self.control, self.jobs, self.events = engine.control, jobs, Events()
        self.presented, self.starting = -1, False

    def step(self, ctx, t, flags):
        self._log(ctx, t, flags)
        started = len(self.events.starts)
        starts = started < len(self.jobs) and self._may_start(t, flags)
        if started < len(self.jobs) and started != self.presented:
            self._present(ctx, started)
        if starts != self.starting:
            ctx.set(self.control.start, starts)
            self.starting = starts
        if starts:
            self.events.starts.append(t)

    def _may_start(self, t, flags):
        started = len(self.events.starts)
        finished = sum(cycle < t for cycle in self.events.finishes)
        return bool(t >= self.jobs[started].wanted and started - finished < IN_FLIGHT and flags["ready"])

    def _present(self, ctx, index):
        instruction = self.jobs[index].instruction
        fields = {name: int(getattr(instruction, name)) for name in specs(type(instruction))}
        ctx.set(self.control.head, fields | {"index": index})
        self.presented = index

    def _log(self, ctx, t, flags):
        if flags["finish"]:
            self.events.finishes.append(t)
        if flags["fault"]:
            fault = self.control.fault
            self.events.faults.append((t, ctx.get(fault.cause), ctx.get(fault.index)))

    @property
    def done(self):
        return len(self.events.finishes) == len(self.jobs)


class BurstLog:
    """Logs each burst in the first cycle in which it is on the bus."""

    def __init__(self, master, channel, events):
        self.pins = [getattr(master, channel + name) for name in ("addr", "len", "size", "id")]
        self.events, self.fresh = events, True

    def step(self, ctx, t, flags):
        if flags["valid"] and self.fresh:
            address, length, size, owner = map(ctx.get, self.pins)
            self.events.bursts.append((t, Burst(address, length + 1, size, owner)))
        self.fresh = not flags["valid"] or bool(flags["accepted"])


class Fetch:
    """Presents competing reads, each from its cycle on until it is granted."""

    def __init__(self, channel, fetches):
        self.request, self.waiting, self.presented = channel.fetch_request, list(fetches), None

    def present(self, ctx, t):
        stands = bool(self.waiting) and t >= self.waiting[0][0]
        burst = self.waiting[0][1] if stands else None
        if burst is not self.presented:
            ctx.set(self.request.valid, stands)
            self.presented = burst
            if stands:
                payload = {"address": burst.address, "beats_minus_1": burst.beats - 1, "size": burst.size}
                ctx.set(self.request.payload, payload)

    def step(self, flags):
        if self.presented and flags["granted"]:
            self.waiting.pop(0)


class WriteLog:
    """Logs the vectors that a load writes to the banks."""

    def __init__(self, config, engine, events):
        self.config, self.events = config, events
        self.ports = {memory: getattr(engine, f"{memory.label}_write") for memory in Memory}

    def step(self, ctx, t, flags):
        for memory, write in self.ports.items():
            if flags[memory.label]:
                chip = ctx.get(write.bank) * self.config.depth(memory) + ctx.get(write.vector)
                self.events.writes.append((t, memory, chip, ctx.get(write.data)))


class Banks:
    """The banks' outputs: what was asked READ_LATENCY cycles ago, and rubbish where nothing was."""

    def __init__(self, config, engine, chip):
        self.config, self.chip = config, chip
        self.reads = {memory: getattr(engine, f"{memory.label}_read") for memory in Memory}
        self.outputs = {memory: getattr(engine, f"{memory.label}_data") for memory in Memory}
        self.asked = [{} for _ in range(READ_LATENCY)]
        self.rubbish = random.Random(0)

    def step(self, ctx, t, flags):
        self._answer(ctx, self.asked.pop(0))
        found = {}
        for memory, read in self.reads.items():
            if flags[memory.label]:
                bank = ctx.get(read.bank)
                address = bank * self.config.depth(memory) + ctx.get(read.vector)
                found[memory, bank] = self.chip(memory, address)
        self.asked.append(found)

    def _answer(self, ctx, answers):
        """Rubbish goes to one bank a cycle only: setting them all would take most of the time."""
        memory = self.rubbish.choice(list(Memory))
        bits = 8 * self.config.vector_bytes(memory)
        bank = self.rubbish.randrange(self.config.banks(memory))
        ctx.set(self.outputs[memory][bank], self.rubbish.getrandbits(bits))
        for (memory, bank), vector in answers.items():
            ctx.set(self.outputs[memory][bank], vector)


def prepare(ctx, world, engine, model):
    """Set what stays the same for a run."""
    for port, base in zip(engine.bases, world.bases, strict=True):
        ctx.set(port, base)
    ctx.set(model.latency, world.latency)
    ctx.set(model.outstanding, world.outstanding)
    ctx.set(model.size, len(world.memory))


def run_loads(world, jobs, fetches, limit=20000):
    """Run loads beside competing reads; everything that happened."""
    bench = LoadBench(world.config, OutsideMemory(world.config))
    board, fetch = Scoreboard(bench.engine, jobs), Fetch(bench.channel, fetches)
    bursts = BurstLog(bench.channel, "ar", board.events)
    writes = WriteLog(world.config, bench.engine, board.events)

    async def testbench(ctx):
        prepare(ctx, world, bench.engine, bench.model)
        for t in range(limit):
            fetch.present(ctx, t)
            flags = bench.look(ctx)
            board.step(ctx, t, flags)
            serve_read(ctx, world, bench.model, flags)
            fetch.step(flags)
            bursts.step(ctx, t, flags)
            writes.step(ctx, t, flags)
            if board.done and not fetch.presented and not fetch.waiting and not flags["valid"]:
                return
            await ctx.tick()
        raise AssertionError(f"not done in {limit} cycles")

    simulate(bench, testbench)
    return board.events


def serve_read(ctx, world, model, flags):
    """Give the word that the memory model asks for; what was given last if it asks for none."""
    if flags["read_enable"]:
        width = world.config.bus_bytes
        address = ctx.get(model.read_address)
        assert address % width == 0
        ctx.set(model.read_data, int.from_bytes(world.memory[address : address + width], "little"))


def run_stores(world, jobs, chip, limit=20000):
    """Run stores on the memory model; everything that happened, and the memory as it was left."""
    bench = StoreBench(world.config, OutsideMemory(world.config))
    engine, model = bench.engine, bench.model
    board, banks = Scoreboard(engine, jobs), Banks(world.config, engine, chip)
    bursts = BurstLog(engine, "aw", board.events)

    async def testbench(ctx):
        prepare(ctx, world, engine, model)
        for t in range(limit):
            flags = bench.look(ctx)
            board.step(ctx, t, flags)
            banks.step(ctx, t, flags)
            bursts.step(ctx, t, flags)
            log_beat(ctx, engine, board.events, t, flags)
            keep_write(ctx, world, model, flags)
            if board.done:
                return
            await ctx.tick()
        raise AssertionError(f"not done in {limit} cycles")

    simulate(bench, testbench)
    return board.events


def log_beat(ctx, engine, events, t, flags):
    """Log a beat that is accepted, as it is on the bus."""
    if flags["wvalid"] and flags["wready"]:
        beat = ctx.get(engine.wdata), ctx.get(engine.wstrb), bool(ctx.get(engine.wlast))
        events.writes.append((t, *beat))


def keep_write(ctx, world, model, flags):
    """Do what the memory model asks of the bytes outside."""
    if not flags["write_enable"]:
        return
    ports = (model.write_address, model.write_data, model.write_strobe)
    address, data, strobe = map(ctx.get, ports)
    assert address % world.config.bus_bytes == 0
    for lane, value in enumerate(data.to_bytes(world.config.bus_bytes, "little")):
        if strobe >> lane & 1:
            world.memory[address + lane] = value


class FetchLog:
    """Logs the beats that the read channel gives to fetch."""

    def __init__(self, channel):
        self.beat, self.beats = channel.fetch_beat, []

    def step(self, ctx):
        if ctx.get(self.beat.valid):
            found = ctx.get(self.beat.data), ctx.get(self.beat.error)
            self.beats.append(found)


def run_loads_on_slave(world, jobs, fetches, make_slave, limit=40000):
    """Run loads on a memory that answers when it likes; what happened, and the beats that fetch got."""
    bench = LoadBench(world.config)
    slave, log = make_slave(world, bench.channel), FetchLog(bench.channel)
    board, fetch = Scoreboard(bench.engine, jobs), Fetch(bench.channel, fetches)
    writes = WriteLog(world.config, bench.engine, board.events)
    expected_beats = sum(burst.beats for _, burst in fetches)

    async def testbench(ctx):
        for port, base in zip(bench.engine.bases, world.bases, strict=True):
            ctx.set(port, base)
        for t in range(limit):
            fetch.present(ctx, t)
            slave.step(ctx)
            flags = bench.look(ctx)
            board.step(ctx, t, flags)
            fetch.step(flags)
            writes.step(ctx, t, flags)
            log.step(ctx)
            if board.done and len(log.beats) == expected_beats:
                return
            await ctx.tick()
        raise AssertionError(f"not done in {limit} cycles")

    simulate(bench, testbench)
    return board.events, log.beats


def run_stores_on_slave(world, jobs, chip, make_slave, limit=5000):
    """Run stores on a memory that answers when it likes; what happened."""
    bench = StoreBench(world.config)
    slave, board = make_slave(world, bench.engine), Scoreboard(bench.engine, jobs)
    banks = Banks(world.config, bench.engine, chip)

    async def testbench(ctx):
        for port, base in zip(bench.engine.bases, world.bases, strict=True):
            ctx.set(port, base)
        for t in range(limit):
            slave.step(ctx)
            flags = bench.look(ctx)
            board.step(ctx, t, flags)
            banks.step(ctx, t, flags)
            if board.done:
                return
            await ctx.tick()
        raise AssertionError(f"not done in {limit} cycles")

    simulate(bench, testbench)
    return board.events


def simulate(bench, testbench):
    """Run a testbench on a clock."""
    simulator = Simulator(bench)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
