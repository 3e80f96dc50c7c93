"""What the units of the machine say to each other: layouts and signatures, derived from `isa`."""

from amaranth import signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from tilewright.isa.config import Config
from tilewright.isa.instruction import Instruction, specs
from tilewright.isa.memory import Memory

INDEX_BITS = 32
CAUSE_BITS = 4
MEMORY_ADDRESS_BITS = 64


def record_layout(kind: type[Instruction]) -> data.StructLayout:
    """The fields of an instruction as its engine gets them, and `index`, its place in the program."""
    shapes = {
        name: signed(row.bits) if row.signed else unsigned(row.bits) for name, row in specs(kind).items()
    }
    return data.StructLayout(shapes | {"index": unsigned(INDEX_BITS)})


FAULT = data.StructLayout({"valid": 1, "cause": CAUSE_BITS, "index": INDEX_BITS})
"""A fault in this cycle: its cause (`isa` code) and the instruction's place in the program."""

BURST = data.StructLayout({"address": MEMORY_ADDRESS_BITS, "beats_minus_1": 8, "size": 3})
"""A bus burst as AXI says it: first byte, beats - 1, log2 of the bytes of a beat."""

BurstRequest = stream.Signature(BURST)
"""Bursts that want the address channel; granted in the cycle in which valid and ready are up."""


def beat_layout(config: Config) -> data.StructLayout:
    """A beat of the read data channel, one cycle after it was on the bus."""
    return data.StructLayout({"valid": 1, "data": 8 * config.bus_bytes, "error": 1})


def read_layout(config: Config, memory: Memory) -> data.StructLayout:
    """A read of one bank; the data is at the bank's output two cycles later."""
    return data.StructLayout(
        {
            "enable": 1,
            "bank": ceil_log2(config.banks(memory)),
            "vector": ceil_log2(config.depth(memory)),
        }
    )


def write_layout(config: Config, memory: Memory) -> data.StructLayout:
    """A write of one vector; a read in the next cycle sees it."""
    bits = 8 * config.vector_bytes(memory)
    return data.StructLayout(read_layout(config, memory).members | {"data": unsigned(bits)})


class EngineControl(wiring.Signature):
    """How the scoreboard runs an engine; members as the engine sees them.

    Members:
        head: In. The instruction at the head of the queue, stable until it starts.
        start: In. The engine takes `head` at the end of this cycle; only while `ready`, never for a nop.
        ready: Out. The engine's own conditions for a start in this cycle hold, by registers alone.
        finish: Out. The oldest instruction in flight finishes in this cycle.
        fault: Out. A fault in this cycle.
    """

    def __init__(self, kind: type[Instruction]) -> None:
        super().__init__(
            {
                "head": In(record_layout(kind)),
                "start": In(1),
                "ready": Out(1),
                "finish": Out(1),
                "fault": Out(FAULT),
            }
        )
