from collections import Counter, deque
from random import Random

import pytest
from amaranth.sim import Simulator

from tilewright.hw.fetch import Fetch
from tilewright.isa.config import INSTRUCTION_BYTES, PRESETS, Config
from tilewright.isa.encoding import decode_table, encode_program
from tilewright.isa.fault import Cause
from tilewright.isa.instruction import Finish, Load, Nop
from tilewright.isa.legality import dispatch_faults
from tilewright.isa.memory import Engine
from tilewright.isa.timing import DISPATCH_CHECK, FETCH_VISIBLE, fetch_bus_idle

PROGRAMS = 20
CONFIGS = {
    "tiny": PRESETS["tiny"],
    "long-bursts": Config(
        rows=4,
        cols=8,
        activation_banks=2,
        activation_vectors=16,
        weight_vectors=16,
        accumulator_vectors=16,
        parameter_vectors=16,
        bus_bytes=16,
        burst_bytes=512,
    ),
}


def draw_program(random, config):
    """The words of a program that may hold a fault: their bytes, engines and causes."""
    engines = [random.choice(tuple(Engine)) for _ in range(random.randrange(30))]
    program = [*(Nop(runs_on=engine) for engine in engines), Finish()]
    for _ in range(random.choice((0, 0, 1, 2))):
        place = random.randrange(len(program))
        # Outside of its memory, and at times undefined as well.
        program[place] = Load(address=(1 << 20) - 1, n_z=random.randrange(2))
    words = encode_program(program)
    causes = [Cause(int(cause)) for cause in dispatch_faults(decode_table(words), config)]
    return words, [instruction.engine for instruction in program], causes


class Model:
    """Fetch as docs/machine.md has it: requests, dispatches and faults from what happened before a cycle."""

    def __init__(self, config, address, words, engines, causes):
        self.config, self.address, self.words = config, address, words
        self.engines, self.causes, self.length = engines, causes, len(engines)
        self.requested = self.dispatched = self.idle_from = 0
        self.last_dispatch, self.last_beats, self.halted = -1, [], False
        self.errors = [False] * self.length
        self.coming = deque()

    def request(self, t):
        """Address and instructions of the request that stands, None if none does."""
        address = self.address + self.requested * INSTRUCTION_BYTES
        to_boundary = self.config.burst_bytes - address % self.config.burst_bytes
        count = min(to_boundary // INSTRUCTION_BYTES, self.length - self.requested)
        fits = self.requested - self.dispatched + count <= self.config.fetch_buffer_instructions
        return (address, count) if t and count and fits and not self.halted else None

    def checked(self, t):
        """The instruction that is checked and neither dispatched nor found wrong before, None if none is."""
        if self.halted or self.dispatched == len(self.last_beats):
            return None
        head = max(self.last_beats[self.dispatched] + FETCH_VISIBLE, self.last_dispatch + 1)
        return self.dispatched if t >= head + DISPATCH_CHECK else None

    def cause(self, index):
        return Cause.BUS if self.errors[index] else self.causes[index]

    def grant(self, count):
        each = INSTRUCTION_BYTES // self.config.bus_bytes
        for place in range(self.requested * each, (self.requested + count) * each):
            first = place * self.config.bus_bytes
            data = int.from_bytes(self.words[first : first + self.config.bus_bytes], "little")
            self.coming.append((place // each, data, place % each == each - 1))
        self.requested += count


def drive_beat(ctx, fetch, model, t, random, faulty):
    """Perhaps the next beat; what is driven in cycle t was on the bus one cycle before."""
    valid = bool(model.coming) and random.random() < 0.8
    ctx.set(fetch.beat.valid, valid)
    if valid:
        index, data, last = model.coming.popleft()
        model.idle_from = fetch_bus_idle(t - 1)
        error = random.random() < faulty
        model.errors[index] |= error
        ctx.set(fetch.beat.data, data)
        ctx.set(fetch.beat.error, error)
        if last:
            model.last_beats.append(t - 1)


def expected_dispatch(model, checked, room):
    """Whether `checked` is dispatched, the engine that gets it (as a mask), and its fault."""
    if checked is None:
        return False, 0, Cause.NONE
    cause, engine = model.cause(checked), model.engines[checked]
    if cause:
        return False, 0, cause
    if engine is None:
        return True, 0, Cause.NONE
    return bool(room >> engine & 1), (room >> engine & 1) << engine, Cause.NONE


def draw_model(random, config):
    words, engines, causes = draw_program(random, config)
    return Model(config, INSTRUCTION_BYTES * random.randrange(100), words, engines, causes)


def bench_of(fetch, random, config, tally):
    """A testbench that holds fetch to the model for one program."""

    async def bench(ctx):
        model = draw_model(random, config)
        faulty, generous = random.choice((0, 0, 0.02)), random.choice((0.3, 0.9))
        ctx.set(fetch.running, 1)
        ctx.set(fetch.address, model.address)
        ctx.set(fetch.length, model.length)
        drained = False
        for t in range(700):
            outstanding = bool(model.coming)
            drive_beat(ctx, fetch, model, t, random, faulty)
            ready = random.random() < generous
            room = sum((random.random() < generous) << engine for engine in Engine)
            ctx.set(fetch.request.ready, ready)
            ctx.set(fetch.room, room)
            ctx.set(fetch.halted, model.halted)
            request, checked = model.request(t), model.checked(t)
            assert ctx.get(fetch.request.valid) == (request is not None), f"cycle {t}"
            idle = not outstanding and t >= model.idle_from
            assert ctx.get(fetch.idle) == (request is None and idle), f"cycle {t}"
            dispatched, dispatch, cause = expected_dispatch(model, checked, room)
            found = ctx.get(fetch.dispatched), ctx.get(fetch.dispatch), ctx.get(fetch.fault.valid)
            assert found == (dispatched, dispatch, bool(cause)), f"cycle {t}"
            blocked = checked is not None and not cause and not dispatched
            assert (ctx.get(fetch.stuck), ctx.get(fetch.drained)) == (drained or blocked, drained)
            assert ctx.get(fetch.index) == model.dispatched
            if cause:
                assert ctx.get(fetch.fault.cause) == cause
                tally[cause] += 1
                model.halted = True
            if request is not None:
                address, count = request
                beats = count * INSTRUCTION_BYTES // config.bus_bytes
                payload = fetch.request.payload
                assert (ctx.get(payload.address), ctx.get(payload.beats_minus_1)) == (address, beats - 1)
                if ready:
                    model.grant(count)
            if dispatched:
                model.dispatched, model.last_dispatch = model.dispatched + 1, t
                drained = model.engines[checked] is None
            if drained and idle:
                tally["drained"] += 1
                return
            await ctx.tick()

    return bench


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_requests_dispatches_and_faults_come_as_the_machine_page_says(config):
    random, tally, fetch = Random(5), Counter(), Fetch(config)
    simulator = Simulator(fetch)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench_of(fetch, random, config, tally))
    simulator.run()
    for _ in range(PROGRAMS - 1):
        simulator.reset()
        simulator.run()
    assert {"drained", Cause.ILLEGAL, Cause.ADDRESS, Cause.BUS} <= set(tally)
