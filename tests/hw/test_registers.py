from random import Random

from amaranth.sim import Simulator
from tests.host_bus import read_row, write

from tilewright.hw.counter import COUNTERS
from tilewright.hw.registers import Registers
from tilewright.isa.config import PRESETS
from tilewright.isa.register import (
    BASE_ALIGNMENT_BYTES,
    BASE_REGISTERS,
    REGISTERS,
    WORD_BYTES,
    RegisterAccess,
)

TINY = PRESETS["tiny"]
ALIGNED = ("program_address", *(f"base_{index}" for index in range(BASE_REGISTERS)))
STATUS = ("running", "done", "faulted", "bus_idle", "interrupt")


async def capture(ctx, registers):
    """What the machine does at a start."""
    ctx.set(registers.capture, 1)
    await ctx.tick()
    ctx.set(registers.capture, 0)


def run(registers, bench, watch=None):
    simulator = Simulator(registers)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    if watch is not None:
        simulator.add_process(watch)
    simulator.run()


def test_what_the_machine_says_is_read_in_its_place():
    random, registers = Random(2), Registers(TINY)

    async def bench(ctx):
        said = {name: random.getrandbits(1) for name in STATUS}
        for name, value in said.items():
            ctx.set(getattr(registers, name), value)
        wanted = {"status": sum(said[name] << place for place, name in enumerate(STATUS))}
        record = {"cycle": random.getrandbits(64), "engine": 5, "index": 1234567, "cause": 6}
        for name, value in record.items():
            ctx.set(getattr(registers.record, name), value)
        wanted |= {"fault": 0x506, "fault_instruction": 1234567, "fault_cycle": record["cycle"]}
        for name in COUNTERS.members:
            wanted[name] = random.getrandbits(64)
            ctx.set(getattr(registers.count, name), wanted[name])
        wanted["config_digest"] = int.from_bytes(TINY.digest(), "little")
        for name, value in wanted.items():
            assert await read_row(ctx, registers, REGISTERS[name]) == value, name

    run(registers, bench)


def test_what_the_host_writes_is_kept_byte_by_byte_and_aligned():
    random, registers = Random(3), Registers(TINY)
    rows = [row for row in REGISTERS.values() if row.access is RegisterAccess.WRITE and row.name != "control"]

    async def bench(ctx):
        wanted = dict.fromkeys((row.name for row in rows), 0)
        for row in (*rows, *rows):
            for place in range(row.words):
                word, strobe = random.getrandbits(32), random.choice((0xF, random.randrange(16)))
                await write(ctx, registers, row.offset + WORD_BYTES * place, word, strobe)
                mask = sum(0xFF << 8 * byte for byte in range(WORD_BYTES) if strobe >> byte & 1)
                low_bits = BASE_ALIGNMENT_BYTES - 1 if row.name in ALIGNED and place == 0 else 0
                wanted[row.name] &= ~(mask << 32 * place)
                wanted[row.name] |= (word & mask & ~low_bits) << 32 * place
        for row in rows:
            assert await read_row(ctx, registers, row) == wanted[row.name], row.name
        assert not ctx.get(registers.program.as_value())
        await capture(ctx, registers)
        for index in range(BASE_REGISTERS):
            assert ctx.get(registers.program.bases[index]) == wanted[f"base_{index}"]
        assert ctx.get(registers.program.address) == wanted["program_address"]
        assert ctx.get(registers.program.length) == wanted["program_length"]
        assert ctx.get(registers.program.timeout) == wanted["timeout"]

    run(registers, bench)


def test_start_reset_and_acknowledge_are_asked_for_in_one_cycle_and_read_as_0():
    seen, registers = [], Registers(TINY)

    async def bench(ctx):
        for word in (1, 2, 3, 4, 0):
            await write(ctx, registers, REGISTERS["control"].offset, word)
        assert await read_row(ctx, registers, REGISTERS["control"]) == 0

    async def watch(ctx):
        asked = (registers.start, registers.reset, registers.acknowledge)
        async for _, _, *flags in ctx.tick().sample(*asked):
            if any(flags):
                seen.append(tuple(flags))

    run(registers, bench, watch)
    assert seen == [(1, 0, 0), (0, 1, 0), (1, 1, 0), (0, 0, 1)]


def test_a_program_for_another_configuration_is_a_mismatch():
    registers = Registers(TINY)

    async def bench(ctx):
        digest = int.from_bytes(TINY.digest(), "little")
        offset = REGISTERS["expected_digest"].offset
        for low, high, mismatch in ((0, 0, 1), (digest, digest >> 32, 0), (digest, 0, 1)):
            await write(ctx, registers, offset, low & 0xFFFFFFFF)
            await write(ctx, registers, offset + WORD_BYTES, high & 0xFFFFFFFF)
            await capture(ctx, registers)
            assert ctx.get(registers.program.mismatch) == mismatch

    run(registers, bench)
