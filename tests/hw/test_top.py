"""The whole machine seen from its host's pins: the interrupt line, and which ports there are."""

import pytest
from amaranth.sim import Simulator
from tests.host_bus import read_row, write

from tilewright.hw.top import Machine
from tilewright.hw.verilog import emit
from tilewright.isa.config import PRESETS
from tilewright.isa.register import REGISTERS, Control, Status

TINY = PRESETS["tiny"]
CONTROL = REGISTERS["control"].offset


async def end_program(ctx, machine):
    """Start the empty program, which ends at once with a fault, and wait for its end."""
    await write(ctx, machine, CONTROL, Control.START)
    for _ in range(10):
        if await read_row(ctx, machine, REGISTERS["status"]) & Status.DONE:
            return
    raise AssertionError("the program must end")


@pytest.mark.slow
def test_the_interrupt_is_up_from_the_end_until_the_host_says_so():
    machine = Machine(TINY)

    async def bench(ctx):
        assert not ctx.get(machine.interrupt)
        for lowers in (Control.ACKNOWLEDGE, Control.RESET):
            await end_program(ctx, machine)
            await write(ctx, machine, REGISTERS["timeout"].offset, 7)
            assert ctx.get(machine.interrupt)
            assert await read_row(ctx, machine, REGISTERS["status"]) & Status.INTERRUPT
            await write(ctx, machine, CONTROL, lowers)
            await ctx.tick().repeat(2)
            assert not ctx.get(machine.interrupt)
            assert not await read_row(ctx, machine, REGISTERS["status"]) & Status.INTERRUPT
        await end_program(ctx, machine)
        await write(ctx, machine, CONTROL, Control.START)
        assert not ctx.get(machine.interrupt), "a start lowers it"

    simulator = Simulator(machine)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.slow
@pytest.mark.parametrize(("config", "trace"), [("tiny", False), ("reference", True)])
def test_the_text_says_its_ports_and_has_no_signal_of_no_bits(config, trace):
    text = emit(PRESETS[config], trace=trace)
    header, ports = text.partition("\nmodule tilewright(")[0], text.partition("module tilewright(")[2]
    for words in ("clk ", "rising edge", "rst ", "synchronous", "active high", "interrupt "):
        assert words in header
    names = {name.strip() for name in ports.partition(")")[0].split(",")}
    assert "interrupt" in names
    assert ("trace_start" in names) == ("trace_" in header) == trace
    assert "[-1:0]" not in text
