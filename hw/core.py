"""The machine behind its registers: fetch, queues, scoreboard, engines, memories and the bus."""

from typing import Any

from amaranth import Cat, Module, ResetInserter, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.axi import master_pins
from tilewright.hw.bus_monitor import TIMEOUT_BITS, BusMonitor
from tilewright.hw.counter import COUNTERS, Counters
from tilewright.hw.decode import dispatched_layout
from tilewright.hw.fault import FAULT_RECORD, FaultRecorder
from tilewright.hw.fetch import Fetch
from tilewright.hw.interface import INDEX_BITS, MEMORY_ADDRESS_BITS, record_layout
from tilewright.hw.load import LoadEngine
from tilewright.hw.matrix import MatrixEngine
from tilewright.hw.memory import BankedMemory
from tilewright.hw.queue import HeadQueue, Queue
from tilewright.hw.read_channel import ReadChannel
from tilewright.hw.scoreboard import Scoreboard
from tilewright.hw.store import StoreEngine
from tilewright.hw.vector import VectorEngine
from tilewright.isa.config import Config
from tilewright.isa.fault import Cause, FaultEngine
from tilewright.isa.instruction import Instruction, Load, Matrix, Store, Vector
from tilewright.isa.memory import Engine, Memory
from tilewright.isa.register import BASE_REGISTERS

PROGRAM = data.StructLayout(
    {
        "address": MEMORY_ADDRESS_BITS,
        "length": INDEX_BITS,
        "mismatch": 1,
        "timeout": TIMEOUT_BITS,
        "bases": data.ArrayLayout(MEMORY_ADDRESS_BITS, BASE_REGISTERS),
    }
)
"""What the host says of a program: where it and its data lie, if it is for this machine, its time-out."""

_KINDS: dict[Engine, type[Instruction]] = {
    Engine.LOAD: Load,
    Engine.MATRIX: Matrix,
    Engine.VECTOR: Vector,
    Engine.STORE: Store,
}
_DMA = (Engine.LOAD, Engine.STORE)
_DECISIVE = ("nop", "wait", "signal", "claims")
"""What the start of an instruction depends on."""


class Core(wiring.Component):
    """Runs one program from the first cycle of `running` to `end`; its state is reset before the next.

    Members:
        running: In. Cycle 0 of a program is the first with it up.
        program: In. Stable while running.
        end: Out. This is the last cycle of the program.
        bus_idle: Out. No burst is unanswered.
        record: Out. The fault, if `faulted`.
        faulted: Out.
        count: Out. The counters.
        start: Out. For each engine, its queue's head starts in this cycle; then, that fetch dispatches.
        finish: Out. For each engine, an instruction finishes in this cycle.
        m_axi_*: the AXI4 master.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "running": In(1),
                "program": In(PROGRAM),
                "end": Out(1),
                "bus_idle": Out(1),
                "record": Out(FAULT_RECORD),
                "faulted": Out(1),
                "count": Out(COUNTERS),
                "start": Out(len(Engine) + 1),
                "finish": Out(len(Engine)),
            }
            | {f"m_axi_{name}": member for name, member in master_pins(config).items()}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._abandoned = Signal()
        self._add_units(m)
        for engine in Engine:
            self._connect_queue(m, engine)
        self._connect_fetch(m)
        self._connect_memories(m)
        self._connect_bus(m)
        self._connect_faults(m)
        self._connect_counters(m)
        self._elaborate_end(m)
        return m

    def _add_units(self, m: Module) -> None:
        config = self.config
        m.submodules.fetch = self._fetch = Fetch(config)
        m.submodules.scoreboard = self._scoreboard = Scoreboard(config)
        m.submodules.read_channel = self._reads = ReadChannel(config)
        m.submodules.bus_monitor = self._monitor = BusMonitor()
        m.submodules.faults = self._faults = FaultRecorder()
        m.submodules.counters = self._counters = Counters()
        self._engines: dict[Engine, Any] = {
            Engine.LOAD: LoadEngine(config),
            Engine.MATRIX: MatrixEngine(config),
            Engine.VECTOR: VectorEngine(config),
            Engine.STORE: StoreEngine(config),
        }
        dispatched = dispatched_layout(config).members
        decisive = data.StructLayout({name: dispatched[name] for name in _DECISIVE})
        record = data.StructLayout({name: dispatched[name] for name in dispatched if name not in _DECISIVE})
        self._queues = {engine: HeadQueue(decisive, config.queue_depth) for engine in Engine}
        self._records = {engine: Queue(record, config.queue_depth) for engine in Engine}
        for engine in Engine:
            unit = self._engines[engine]
            m.submodules[engine.label] = ResetInserter(self._abandoned)(unit) if engine in _DMA else unit
            m.submodules[f"{engine.label}_queue"] = self._queues[engine]
            m.submodules[f"{engine.label}_records"] = self._records[engine]

    def _connect_queue(self, m: Module, engine: Engine) -> None:
        """What the start of an instruction depends on, and beside it what its engine takes."""
        queue, record, board = self._queues[engine], self._records[engine], self._scoreboard
        head, control = board.head[engine], self._engines[engine].control
        for part in (queue, record):
            m.d.comb += [part.push.eq(self._fetch.dispatch[engine]), part.pop.eq(board.start[engine])]
            m.d.comb += [part.item[name].eq(self._fetch.item[name]) for name in part.shape.members]
        m.d.comb += head.valid.eq(queue.valid)
        m.d.comb += [head[name].eq(queue.head[name]) for name in _DECISIVE]
        layout = record_layout(_KINDS[engine])
        fields = layout.size - INDEX_BITS
        m.d.comb += [
            control.head.eq(Cat(record.head.fields[:fields], record.head.index)),
            control.start.eq(board.run[engine]),
            board.ready[engine].eq(control.ready),
            board.finish[engine].eq(control.finish & (~self._abandoned if engine in _DMA else 1)),
        ]

    def _connect_fetch(self, m: Module) -> None:
        fetch = self._fetch
        wiring.connect(m, fetch.request, self._reads.fetch_request)
        m.d.comb += [
            fetch.running.eq(self.running),
            fetch.halted.eq(self._faults.halted),
            fetch.address.eq(self.program.address),
            fetch.length.eq(self.program.length),
            fetch.mismatch.eq(self.program.mismatch),
            fetch.beat.eq(self._reads.fetch_beat),
            fetch.room.eq(Cat(self._queues[engine].room for engine in Engine)),
            self._scoreboard.enable.eq(self.running & ~self._faults.halted),
            self.start.eq(Cat(self._scoreboard.start, fetch.dispatched)),
            self.finish.eq(self._scoreboard.done),
        ]

    def _connect_memories(self, m: Module) -> None:
        for memory in Memory:
            reads = list(self._accesses(memory, "read"))
            writes = list(self._accesses(memory, "write"))
            banks = BankedMemory(self.config, memory, readers=len(reads), writers=len(writes))
            m.submodules[f"{memory.label}_memory"] = banks
            m.d.comb += [port.eq(request) for port, request in zip(banks.read, reads, strict=True)]
            m.d.comb += [port.eq(request) for port, request in zip(banks.write, writes, strict=True)]
            for unit in self._engines.values():
                if f"{memory.label}_data" in unit.signature.members:
                    outputs = zip(getattr(unit, f"{memory.label}_data"), banks.data, strict=True)
                    m.d.comb += [seen.eq(output) for seen, output in outputs]

    def _accesses(self, memory: Memory, kind: str) -> list[Value]:
        """The read or write requests of all engines to a memory."""
        name = f"{memory.label}_{kind}"
        result: list[Value] = []
        for unit in self._engines.values():
            if name in unit.signature.members:
                member = getattr(unit, name)
                result.extend(member if unit.signature.members[name].dimensions else [member])
        return result

    def _connect_bus(self, m: Module) -> None:
        load, store, reads = self._engines[Engine.LOAD], self._engines[Engine.STORE], self._reads
        wiring.connect(m, load.request, reads.load_request)
        m.d.comb += load.beat.eq(reads.load_beat)
        for unit in (load, store):
            for index in range(BASE_REGISTERS):
                m.d.comb += unit.bases[index].eq(self.program.bases[index])
        for name in master_pins(self.config):
            pin = getattr(self, f"m_axi_{name}")
            for unit in (reads, store, self._monitor):
                if name not in unit.signature.members:
                    continue
                if unit.signature.members[name].flow is Out:
                    m.d.comb += pin.eq(getattr(unit, name))
                else:
                    m.d.comb += getattr(unit, name).eq(pin)

    def _connect_faults(self, m: Module) -> None:
        faults = self._faults
        m.d.comb += [faults.running.eq(self.running), faults.cycle.eq(self._counters.count.cycles)]
        m.d.comb += faults.report[FaultEngine.FETCH].eq(self._fetch.fault)
        for engine in Engine:
            m.d.comb += faults.report[FaultEngine.of(engine)].eq(self._engines[engine].control.fault)
        system = faults.report[FaultEngine.SYSTEM]
        deadlock, expired = self._deadlock(), self._monitor.expired
        m.d.comb += [
            system.valid.eq(deadlock | expired),
            system.index.eq(self._fetch.index),
            self._monitor.running.eq(self.running),
            self._monitor.timeout.eq(self.program.timeout),
        ]
        with m.If(deadlock):
            m.d.comb += system.cause.eq(Cause.DEADLOCK)
        with m.Else():
            m.d.comb += system.cause.eq(Cause.TIMEOUT)
        m.d.comb += [self.record.eq(faults.record), self.faulted.eq(faults.halted)]
        # Even if another fault is on record: what is in flight may never end.
        with m.If(self.running & expired):
            m.d.sync += self._abandoned.eq(1)

    def _deadlock(self) -> Value:
        """Nothing moves in this cycle, so nothing ever will.

        Where nothing is in flight, engines are ready and no port is claimed: a head starts unless tokens are
        missing. And what is stuck is not dispatched.
        """
        board, fetch = self._scoreboard, self._fetch
        heads = Cat(queue.valid for queue in self._queues.values())
        starting = (heads & board.tokens_ready).any()
        return heads.any() & ~board.in_flight.any() & ~starting & fetch.stuck & fetch.idle

    def _connect_counters(self, m: Module) -> None:
        board, counters = self._scoreboard, self._counters
        m.d.comb += [
            counters.running.eq(self.running),
            counters.occupied.eq(board.in_flight | board.start),
            counters.heading.eq(Cat(queue.valid for queue in self._queues.values())),
            counters.tokens_ready.eq(board.tokens_ready),
            self.count.eq(counters.count),
            self.bus_idle.eq(self._monitor.idle),
        ]
        pins = {name: getattr(self, f"m_axi_{name}") for name in master_pins(self.config)}
        for index, (channel, wanted) in enumerate((("ar", 1), ("ar", 0), ("aw", None))):
            accepted = pins[f"{channel}valid"] & pins[f"{channel}ready"]
            if wanted is not None:
                accepted &= pins["arid"] == wanted
            m.d.comb += [
                counters.accepted[index].valid.eq(accepted),
                counters.accepted[index].beats_minus_1.eq(pins[f"{channel}len"]),
                counters.accepted[index].size.eq(pins[f"{channel}size"]),
            ]

    def _elaborate_end(self, m: Module) -> None:
        in_flight = self._scoreboard.in_flight
        queued = Cat(queue.valid for queue in self._queues.values()).any()
        computing = in_flight[Engine.MATRIX] | in_flight[Engine.VECTOR]
        finished = self._fetch.drained & ~queued & ~in_flight.any()
        with m.If(self._abandoned):
            m.d.comb += self.end.eq(self.running & ~computing)
        with m.Elif(self._faults.halted):
            m.d.comb += self.end.eq(self.running & ~in_flight.any() & self._fetch.idle)
        with m.Else():
            m.d.comb += self.end.eq(self.running & finished)
