"""The vector engine: operation, reduction, bias, requantisation, clamp and look-up of items."""

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.interface import EngineControl, read_layout, write_layout
from tilewright.hw.lane_table import TABLE_CONTROL, TABLE_LATENCY, LaneTable
from tilewright.hw.requantise import REQUANTISE_CONTROL, Requantiser, requantise_latency
from tilewright.hw.request import READ_LATENCY, BankReturn, delay
from tilewright.hw.vector_issue import ITEM, REQUESTS, VectorIssue
from tilewright.hw.vector_lane import FACTOR_STAGE, LANE_CONTROL, VectorLane, lane_latency
from tilewright.isa.config import Config
from tilewright.isa.instruction import Vector
from tilewright.isa.memory import Memory
from tilewright.isa.timing import vector_depth

REQUEST_STAGE = 1
"""Cycles from the issue of an item to its requests."""
SOURCE_STAGE = REQUEST_STAGE + READ_LATENCY + 1
"""Cycles from the issue of an item to the register behind the banks' multiplexer."""

READERS = {"a_activation": 0, "b_activation": 1, "a_accumulator": 0, "b_accumulator": 1}
"""Place of a request among the read ports of its memory."""


class VectorEngine(wiring.Component):
    """Runs vector instructions (docs/machine.md, Vector).

    An item that issues in cycle i has its requests in registers at i + 1, and its result is written at
    i + `vector_depth`. Parameter vectors go the same way and are kept where they are used, so that nothing
    drains between instructions. What a stage has to do is held beside its data.

    Latency: docs/machine.md. Throughput: one item a cycle, or one in `requant_interval` cycles.

    Members:
        control: how the scoreboard runs it.
        activation_read, accumulator_read: array of Out. Reads of a (0) and of b (1).
        parameter_read: Out. Reads of the parameters, and of b.
        activation_data, accumulator_data, parameter_data: array of In. The output of each bank.
        activation_write, accumulator_write: Out. Writes of results.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        members = {"control": Out(EngineControl(Vector))}
        for memory in (Memory.ACTIVATION, Memory.ACCUMULATOR, Memory.PARAMETER):
            read, bits = Out(read_layout(config, memory)), 8 * config.vector_bytes(memory)
            members[f"{memory.label}_read"] = read if memory == Memory.PARAMETER else read.array(2)
            members[f"{memory.label}_data"] = In(bits).array(config.banks(memory))
        for memory in (Memory.ACTIVATION, Memory.ACCUMULATOR):
            members[f"{memory.label}_write"] = Out(write_layout(config, memory))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.issue = issue = VectorIssue(self.config)
        items = self._elaborate_control(m, issue)
        lanes = self._elaborate_lanes(m, items[SOURCE_STAGE:], self._elaborate_reads(m, issue))
        if self.config.vector_taps > 1:
            self._elaborate_window(m, issue, lanes)
        biased = SOURCE_STAGE + lane_latency(self.config.vector_taps)
        requantiser = self._elaborate_requantiser(m, items[biased:], lanes)
        done = biased + requantise_latency(self.config)
        results = self._elaborate_tables(m, items[done:], requantiser)
        written = done + TABLE_LATENCY
        m.d.comb += self.control.finish.eq(items[written].last)
        self._elaborate_writes(m, issue, written, results)
        return m

    def _elaborate_control(self, m: Module, issue: VectorIssue) -> list[data.View]:
        """The item in each stage; the one that issues, stage 0, is not known yet."""
        control = self.control
        m.d.comb += [issue.head.eq(control.head), issue.start.eq(control.start)]
        m.d.comb += [control.ready.eq(issue.ready), control.fault.eq(issue.fault)]
        items = [Signal(ITEM, name="item_0"), issue.item]
        depth = vector_depth(self.config.requant_interval, self.config.vector_taps)
        for stage in range(REQUEST_STAGE + 1, depth + 1):
            item = Signal(ITEM, name=f"item_{stage}")
            m.d.sync += item.eq(items[-1])
            items.append(item)
        return items

    def _elaborate_reads(self, m: Module, issue: VectorIssue) -> dict[str, Value]:
        """The vector of each read, in the stage of the sources."""
        vectors = {}
        for name, memory in REQUESTS.items():
            if name.startswith("to_"):
                continue
            request = getattr(issue, name)
            port = getattr(self, f"{memory.label}_read")
            m.d.comb += (port[READERS[name]] if name in READERS else port).eq(request)
            m.submodules[f"{name}_return"] = back = BankReturn(self.config, memory)
            m.d.comb += back.request.eq(request)
            banks = getattr(self, f"{memory.label}_data")
            m.d.comb += [mine.eq(bank) for mine, bank in zip(back.data, banks, strict=True)]
            vectors[name] = back.vector
        return vectors

    def _elaborate_lanes(
        self, m: Module, items: list[data.View], vectors: dict[str, Value]
    ) -> list[VectorLane]:
        taps = self.config.vector_taps
        lanes, controls = [], _controls(m, LANE_CONTROL, items[: lane_latency(taps)])
        for place in range(self.config.cols):
            m.submodules[f"lane_{place}"] = lane = VectorLane(taps)
            for name, vector in vectors.items():
                width = len(vector) // self.config.cols
                m.d.comb += lane.source[name].eq(vector.word_select(place, width))
            m.d.comb += lane.source.constant.eq(items[0].constant)
            _follow(m, lane.control, controls)
            lanes.append(lane)
        return lanes

    def _elaborate_window(self, m: Module, issue: VectorIssue, lanes: list[VectorLane]) -> None:
        """What the items do to the windows of the lanes, in the stage of their factors."""
        cycles = SOURCE_STAGE + FACTOR_STAGE - REQUEST_STAGE
        control = delay(m, issue.window, cycles, name="window")
        m.d.comb += [lane.window.eq(control) for lane in lanes]

    def _elaborate_requantiser(
        self, m: Module, items: list[data.View], lanes: list[VectorLane]
    ) -> Requantiser:
        m.submodules.requantiser = requantiser = Requantiser(self.config)
        m.d.comb += [mine.eq(lane.t) for mine, lane in zip(requantiser.t, lanes, strict=True)]
        stages = items[: requantise_latency(self.config)]
        _follow(m, requantiser.control, _controls(m, REQUANTISE_CONTROL, stages))
        return requantiser

    def _elaborate_tables(self, m: Module, items: list[data.View], requantiser: Requantiser) -> list[Value]:
        """What each lane writes."""
        results, controls = [], _controls(m, TABLE_CONTROL, items[:TABLE_LATENCY])
        for place, y in enumerate(requantiser.y):
            m.submodules[f"table_{place}"] = table = LaneTable()
            m.d.comb += table.y.eq(y)
            _follow(m, table.control, controls)
            results.append(table.result)
        return results

    def _elaborate_writes(self, m: Module, issue: VectorIssue, stage: int, results: list[Value]) -> None:
        for memory in (Memory.ACTIVATION, Memory.ACCUMULATOR):
            name = f"to_{memory.label}"
            request = delay(m, getattr(issue, name), stage - REQUEST_STAGE, name=name)
            write = getattr(self, f"{memory.label}_write")
            bits = 8 * memory.element_bytes
            m.d.comb += [write[field].eq(request[field]) for field in ("enable", "bank", "vector")]
            m.d.comb += write.data.eq(Cat(result[:bits] for result in results))


def _controls(m: Module, layout: data.StructLayout, items: list[data.View]) -> list[data.View]:
    """The fields of `layout` of the item in each stage."""
    controls = []
    for stage, item in enumerate(items):
        control = Signal(layout, name=f"control_{stage}")
        m.d.comb += [control[name].eq(item[name]) for name, _ in layout]
        controls.append(control)
    return controls


def _follow(m: Module, controls: list[data.View], given: list[data.View]) -> None:
    m.d.comb += [control.eq(value) for control, value in zip(controls, given, strict=True)]
