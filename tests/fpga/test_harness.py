import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from tilewright.fpga.harness import FAN_IN, Harness


class Passage(wiring.Component):
    """A unit with an array and a nested signature, whose outputs are its inputs."""

    def __init__(self, words, bits):
        inner = wiring.Signature({"ask": In(bits), "answer": Out(bits)})
        super().__init__(
            {"word": In(bits).array(words), "copy": Out(bits).array(words), "nested": Out(inner)}
        )

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [copy.eq(word) for copy, word in zip(self.copy, self.word, strict=True)]
        m.d.comb += self.nested.answer.eq(self.nested.ask)
        return m


def run(harness, stream):
    """What comes out, cycle by cycle, while `stream` goes in."""
    seen = []

    async def bench(ctx):
        for bit in stream:
            ctx.set(harness.serial_in, bit)
            seen.append(ctx.get(harness.serial_out))
            await ctx.tick()

    simulator = Simulator(harness)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


@pytest.mark.parametrize(("words", "bits"), [(1, 1), (2, 3), (5, 8)])
def test_every_input_bit_is_driven_and_every_output_bit_counts(words, bits):
    harness = Harness(Passage(words, bits))
    total = (words + 1) * bits
    assert FAN_IN ** (harness.depth - 1) >= total
    cycles = 1 + harness.depth + total + 3
    seen = run(harness, [1, *[0] * (cycles - 1)])
    first = 1 + harness.depth
    assert seen == [0] * first + [1] * total + [0] * (cycles - first - total)


def test_the_harness_has_one_pin_in_and_one_out():
    members = Harness(Passage(3, 4)).signature.members
    assert {name: member.shape for name, member in members.items()} == {"serial_in": 1, "serial_out": 1}
