"""The part of the machine that bounds its clock: both computing engines and the memories."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.interface import EngineControl, read_layout, write_layout
from tilewright.hw.matrix import MatrixEngine
from tilewright.hw.memory import BankedMemory
from tilewright.hw.request import BankReturn
from tilewright.hw.vector import VectorEngine
from tilewright.isa.config import Config
from tilewright.isa.instruction import Matrix, Vector
from tilewright.isa.memory import Memory


class Datapath(wiring.Component):
    """The matrix and the vector engine and all memories, with the ports that load and store have to them.

    Latency and throughput: as of the engines; `store_*` as `BankReturn`.

    Members:
        matrix, vector: how the scoreboard runs the engines.
        load_*: In. A write, for each memory.
        store_*: In. A read, for each memory.
        stored_*: Out. What was read.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        members = {"matrix": Out(EngineControl(Matrix)), "vector": Out(EngineControl(Vector))}
        for memory in Memory:
            members[f"load_{memory.label}"] = In(write_layout(config, memory))
            members[f"store_{memory.label}"] = In(read_layout(config, memory))
            members[f"stored_{memory.label}"] = Out(8 * config.vector_bytes(memory))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.matrix = matrix = MatrixEngine(self.config)
        m.submodules.vector = vector = VectorEngine(self.config)
        for memory in Memory:
            self._elaborate_memory(m, memory, (matrix, vector))
        for engine, control in ((matrix, self.matrix), (vector, self.vector)):
            wiring.connect(m, wiring.flipped(control), engine.control)
        return m

    def _elaborate_memory(self, m: Module, memory: Memory, engines: tuple[wiring.Component, ...]) -> None:
        label = memory.label
        reads, writes = [getattr(self, f"store_{label}")], [getattr(self, f"load_{label}")]
        for engine in engines:
            reads += _ports(engine, f"{label}_read")
            writes += _ports(engine, f"{label}_write")
        banks = BankedMemory(self.config, memory, readers=len(reads), writers=len(writes))
        back = BankReturn(self.config, memory)
        m.submodules[f"{label}_memory"], m.submodules[f"{label}_return"] = banks, back
        m.d.comb += [port.eq(request) for port, request in zip(banks.read, reads, strict=True)]
        m.d.comb += [port.eq(request) for port, request in zip(banks.write, writes, strict=True)]
        m.d.comb += [back.request.eq(reads[0]), getattr(self, f"stored_{label}").eq(back.vector)]
        for reader in (back.data, *(_ports(engine, f"{label}_data") for engine in engines)):
            m.d.comb += [seen.eq(bank) for seen, bank in zip(reader, banks.data, strict=False)]


def _ports(unit: wiring.Component, name: str) -> list[object]:
    """The member of that name as a list: its elements if it is an array, nothing if there is none."""
    if name not in unit.signature.members:
        return []
    member = getattr(unit, name)
    return list(member) if unit.signature.members[name].dimensions else [member]
