from dataclasses import replace

import numpy as np
import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

from tilewright.hw.requantise import REQUANTISE_CONTROL, Requantiser, requantise_latency
from tilewright.isa.config import PRESETS
from tilewright.numerics.requantise import (
    MULTIPLIER_MAXIMUM,
    SHIFT_MAXIMUM,
    SHIFT_MINIMUM,
    X_MAXIMUM,
    X_MINIMUM,
    pack_scale,
    requantise,
)


class Harness(wiring.Component):
    """A requantiser whose control follows its data."""

    def __init__(self, config):
        self.unit = Requantiser(config)
        super().__init__({"control": In(REQUANTISE_CONTROL)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = self.unit
        control = self.control
        for place, stage in enumerate(self.unit.control):
            m.d.comb += stage.eq(control)
            late = Signal(REQUANTISE_CONTROL, name=f"control_{place}")
            m.d.sync += late.eq(control)
            control = late
        return m


def near_limits(rng, pre, shape):
    """Values whose x is next to where it saturates or rounds."""
    places = rng.choice([X_MINIMUM - 1, X_MINIMUM, -1, 0, 1, X_MAXIMUM - 1, X_MAXIMUM, X_MAXIMUM + 1], shape)
    exact = np.floor(np.ldexp(2.0 * places + rng.integers(-1, 2, shape), pre - 1)) + rng.integers(
        -1, 2, shape
    )
    return np.clip(exact, -(2**31), 2**31 - 1).astype(np.int32)


def random_values(rng, pre, shape):
    wide = rng.integers(-(2**31), 2**31, shape) >> rng.integers(0, 32, shape)
    return np.where(rng.random(shape) < 0.5, wide, near_limits(rng, pre, shape)).astype(np.int32)


def random_scale(rng, cols):
    # 65664 and 65665 round the ends of x to results that their neighbours do not have.
    m = rng.choice(
        [0, 1, 1 << 16, 65664, 65665, MULTIPLIER_MAXIMUM, *rng.integers(0, MULTIPLIER_MAXIMUM, 4)], cols
    )
    pre = rng.integers(SHIFT_MINIMUM, SHIFT_MAXIMUM + 1, cols)
    if rng.random() < 0.7:
        pre = rng.integers(-3, 15, cols)
    junk = rng.integers(0, 1 << 9, cols).astype(np.int32) << 23
    return pack_scale(m, pre) | junk.astype(np.int32), pre


def schedule(rng, cols, interval, cycles):
    """Control and t of every cycle, and the y that must come of it (None: nothing was there)."""
    zeros = np.zeros(cols, np.int32)
    scale, pre = random_scale(rng, cols)
    events = [({"valid": 1, "scale": 1}, scale, None)]
    since = interval
    while len(events) < cycles:
        since += 1
        kind = rng.integers(10)
        if kind == 0:
            scale, pre = random_scale(rng, cols)
            events.append(({"valid": 1, "scale": 1}, scale, None))
        elif kind < 7 and since >= interval:
            t, zero_point = random_values(rng, pre, cols), int(rng.integers(-128, 128))
            expected = requantise(t, scale) + zero_point
            control = {"valid": 1, "requantise": 1, "zero_point": zero_point}
            events.append((control, t, expected))
            since = 0
        elif kind < 8:
            t = random_values(rng, pre, cols)
            events.append(({"valid": 1, "zero_point": 55}, t, t))
        else:
            events.append(({}, zeros, None))
    return events


@pytest.mark.parametrize(("cols", "interval"), [(4, 1), (8, 2), (8, 4)])
def test_every_bit_and_cycle_agrees_with_the_definition(cols, interval):
    config = replace(PRESETS["tiny"], cols=cols, requant_interval=interval)
    harness = Harness(config)
    events = schedule(np.random.default_rng(cols + interval), cols, interval, 1500)
    latency = requantise_latency(config)

    async def bench(ctx):
        expected = [None] * latency
        for control, t, y in events:
            if (due := expected.pop(0)) is not None:
                assert [ctx.get(value) for value in harness.unit.y] == due.tolist()
            expected.append(y)
            ctx.set(harness.control, control)
            for place, value in zip(harness.unit.t, t.tolist(), strict=True):
                ctx.set(place, value)
            await ctx.tick()

    simulator = Simulator(harness)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
