from random import Random

import pytest
from amaranth.sim import Simulator

from tilewright.hw.bus_monitor import BusMonitor

CHANNELS = ("ar", "r", "aw", "w", "b")
PINS = [channel + end for channel in CHANNELS for end in ("valid", "ready")]


class Silence:
    """Pending, and the cycles of silence, as docs/machine.md says."""

    def __init__(self):
        self.reads = self.writes = self.cycles = 0

    def pending(self, pins):
        shown = any(pins[f"{channel}valid"] for channel in CHANNELS)
        return bool(shown or self.reads or self.writes)

    def step(self, pins):
        passed = {name: pins[f"{name}valid"] and pins[f"{name}ready"] for name in CHANNELS}
        self.cycles = self.cycles + 1 if self.pending(pins) and not any(passed.values()) else 0
        self.reads += passed["ar"] * (pins["arlen"] + 1) - bool(passed["r"])
        self.writes += bool(passed["aw"]) - bool(passed["b"])


def draw_pins(random, silence, active):
    """Pins as a bus could have them: no answer without a burst."""
    pins = {name: random.random() < active for name in PINS} | {"arlen": random.choice((0, 1, 255))}
    pins["rvalid"] &= silence.reads > 0
    pins["bvalid"] &= silence.writes > 0
    return pins


@pytest.mark.parametrize("timeout", [0, 1, 3, 10])
def test_silence_is_counted_and_expires_as_the_machine_page_says(timeout):
    random = Random(timeout)
    monitor = BusMonitor()
    expirations = []

    async def testbench(ctx):
        silence = Silence()
        ctx.set(monitor.running, 1)
        ctx.set(monitor.timeout, timeout)
        for t in range(400):
            pins = draw_pins(random, silence, active=(0.02, 0.3, 0.7)[t // 40 % 3])
            for name, value in pins.items():
                ctx.set(getattr(monitor, name), value)
            expired = timeout > 0 and silence.cycles == timeout
            expirations.append(expired)
            assert ctx.get(monitor.expired) == expired
            assert ctx.get(monitor.idle) == (not silence.pending(pins))
            silence.step(pins)
            await ctx.tick()

    simulator = Simulator(monitor)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert any(expirations) == (timeout > 0)
