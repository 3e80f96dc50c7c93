"""The vector engine against `isa.semantics` in every bit and docs/machine.md in every cycle."""

import itertools
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from amaranth.sim import Simulator
from tests.stepped.compute import Vector as SteppedVector

from tilewright.hw.vector import VectorEngine
from tilewright.isa.address import ADDRESS_BITS, vector_a, vector_b, vector_parameters, vector_results
from tilewright.isa.config import IN_FLIGHT, PRESETS
from tilewright.isa.fault import Cause
from tilewright.isa.instruction import (
    Destination,
    ReduceMode,
    SourceA,
    SourceB,
    Vector,
    VectorOp,
    memory_of,
    specs,
)
from tilewright.isa.legality import explain
from tilewright.isa.memory import Memory
from tilewright.isa.semantics import execute
from tilewright.isa.sliding import COLUMNS_MAXIMUM, WINDOW_TAPS, chunks_of_row, step_of
from tilewright.isa.state import Dram, State
from tilewright.isa.timing import (
    ADDRESS_FAULT,
    item_interval,
    requantiser_rest,
    vector_depth,
    vector_last_issue,
    vector_occupancy,
)
from tilewright.numerics.requantise import pack_scale

NO_DRAM = Dram(np.zeros(0, np.uint8))
TINY = replace(
    PRESETS["tiny"], activation_vectors=64, accumulator_vectors=32, parameter_vectors=32, parameter_banks=2
)
TAPS = replace(TINY, vector_taps=WINDOW_TAPS)
WIDE = replace(TINY, rows=8, cols=16, activation_banks=2, activation_vectors=128, parameter_banks=1)


# --- what must happen --------------------------------------------------------------------------------------


@dataclass
class Timed:
    """An instruction, its start, and what follows from it."""

    instruction: Vector
    index: int
    start: int
    occupancy: int
    finish: int
    slides: bool
    writes: list = field(default_factory=list)
    faults: list = field(default_factory=list)


def timed(instruction, index, start, config):
    """Cycles of one instruction by the closed forms, over the items of the stepped machine."""
    stepped = SteppedVector(config, None)
    chunk_ends = stepped.chunk_ends(instruction)
    loops, reads_b, ends = zip(*stepped.items(instruction, chunk_ends), strict=True)
    read = np.ravel_multi_index(np.transpose(loops), vector_a(instruction).counts)
    reads_b, ends = np.array(reads_b), np.array(ends)
    parameters, reduced = vector_parameters(instruction).counts[0], len(loops) // ends.sum()
    if chunk_ends:
        reduced = instruction.n_2 * len(chunk_ends)
    depth = vector_depth(config.requant_interval, config.vector_taps)
    interval = item_interval(instruction.requantise, reduced, config.requant_interval)
    last = vector_last_issue(start, parameters, len(loops), interval)
    rest = requantiser_rest(instruction.requantise, reduced, config.requant_interval)
    occupancy = vector_occupancy(parameters, len(loops), interval, rest)
    result = Timed(instruction, index, start, occupancy, last + depth, slides=bool(chunk_ends))
    issues = start + 1 + parameters + interval * np.arange(len(loops))
    every_parameter = np.arange(parameters)
    bad = set()
    operands = (
        (memory_of(SourceA(instruction.a_from)), vector_a(instruction), read, issues),
        (memory_of(SourceB(instruction.b_from)), vector_b(instruction), read[reads_b], issues[reads_b]),
        (Memory.PARAMETER, vector_parameters(instruction), every_parameter, start + 1 + every_parameter),
        (
            memory_of(Destination(instruction.to)),
            vector_results(instruction),
            np.arange(ends.sum()),
            issues[ends],
        ),
    )
    for memory, nest, order, cycles in operands:
        if memory is not None:
            places, inside = located(memory, nest, config)
            places, inside = places[order], inside[order]
            bad |= {int(cycle) + ADDRESS_FAULT for cycle in cycles[~inside]}
    if memory is not None:
        kept = zip((cycles + depth)[inside].tolist(), places[inside].tolist(), strict=True)
        result.writes = [(cycle, memory, place) for cycle, place in kept]
    result.faults = [(cycle, index) for cycle in sorted(bad)]
    return result


def located(memory, nest, config):
    """The addresses of an operand, and which lie in its bank."""
    places = nest.addresses().ravel() % (1 << ADDRESS_BITS)
    depth = config.depth(memory)
    return places, places // depth == nest.first // depth


def banks_read(instruction, config):
    reads = [
        (memory_of(SourceA(instruction.a_from)), instruction.a),
        (memory_of(SourceB(instruction.b_from)), instruction.b),
    ]
    return {(memory, first // config.depth(memory)) for memory, first in reads if memory is not None}


def bank_written(instruction, config):
    memory = memory_of(Destination(instruction.to))
    return None if memory is None else (memory, instruction.destination // config.depth(memory))


def schedule(instructions, config, rng):
    """Starts as soon as the rules allow, or somewhat later."""
    done = []
    for index, instruction in enumerate(instructions):
        start = int(rng.integers(4))
        if done:
            start = done[-1].start + done[-1].occupancy + int(rng.choice([0, 0, 0, 1, 2, 30]))
        for other in done[-IN_FLIGHT:]:
            if bank_written(other.instruction, config) in banks_read(instruction, config):
                start = max(start, other.finish + 1)
        if len(done) >= IN_FLIGHT:
            start = max(start, done[-IN_FLIGHT].finish + 1)
        done.append(timed(instruction, index, start, config))
    return done


# --- random instructions -----------------------------------------------------------------------------------


def random_state(config, rng):
    """A chip full of values; parameters are as often scales or small factors as anything."""
    state = State(config)
    for vectors in state.memories:
        bits = 8 * vectors.itemsize
        wide = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), vectors.shape)
        vectors[...] = wide >> rng.integers(0, bits, vectors.shape)
    parameters = state.memories[Memory.PARAMETER]
    scales = pack_scale(rng.integers(0, 1 << 17, parameters.shape), rng.integers(-3, 19, parameters.shape))
    usual = np.arange(len(parameters)) % 2 == 0
    parameters[usual] = scales[usual]
    return state


def random_instruction(rng, config, **given):
    """A defined instruction; now and then it leaves its banks."""
    while True:
        fields = random_fields(rng, config) | given
        if fields["op"] == VectorOp.PASS:
            fields["b_from"] = SourceB.CONSTANT
        if fields["n_2"] * fields["n_3"] == 1 or fields["reduce"]:
            candidate = Vector(**fields)
            if not explain(candidate, config) and not revisits(candidate, config):
                return candidate


def random_fields(rng, config):
    name = specs(Vector)
    fields = {key: rng.choice(list(spec.values)).item() for key, spec in name.items() if spec.values}
    fields |= {key: int(rng.integers(2)) for key in ("bias", "requantise", "lookup")}
    counts = rng.choice([1, 1, 1, 2, 3, 5], 4)
    fields |= {f"n_{loop}": int(count) for loop, count in enumerate(counts)}
    reach = int(rng.choice([1, 1, 2, 2, 2, 9, 1 << 19]))
    strides = {key: int(rng.integers(-reach, reach)) for key in name if "stride" in key}
    firsts = {
        "a": memory_of(SourceA(fields["a_from"])),
        "b": memory_of(SourceB(fields["b_from"])),
        "destination": memory_of(Destination(fields["to"])),
        "parameter": Memory.PARAMETER,
    }
    for key, memory in firsts.items():
        fields[key] = int(rng.integers(config.vectors(memory))) if memory is not None else 7
    if rng.random() < 0.3:
        fields["parameter"] = config.depth(Memory.PARAMETER) - int(rng.integers(1, 3))
    if rng.random() < 0.4 and reach < 1 << 16:
        make_in_place(fields, strides)
    clamp = sorted(rng.integers(-128, 128, 2).tolist(), reverse=bool(rng.random() < 0.3))
    fields |= {"lo": clamp[0], "hi": clamp[1], "zero_point": int(rng.integers(-128, 128))}
    fields["immediate"] = int(rng.integers(-(2**31), 2**31)) >> int(rng.integers(32))
    return fields | strides


def random_convolution(rng, config, columns, step, **given):
    """One whose kernel moves by `step` columns from result to result; now and then it leaves its banks."""
    apart = int(rng.choice([-2, -1, 1, 1, 1, 2, 3]))
    fixed = {"op": VectorOp.MULTIPLY, "reduce": ReduceMode.ADD, "a_from": SourceA.ACTIVATION}
    fixed |= {"n_3": columns, "n_1": int(rng.choice([1, 2, 3, 6])), "n_2": int(rng.choice([1, 2, 3, 5]))}
    fixed |= {"a_stride_1": step * apart, "a_stride_3": apart, "b_stride_0": 0, "b_stride_1": 0}
    return random_instruction(rng, config, **fixed | given)


def sum_of_taps(rng, columns, step, rows, **given):
    """A convolution of which all taps lie inside and count, and no bit of a result is lost."""
    weights, depth = TAPS.depth(Memory.ACTIVATION), TAPS.depth(Memory.ACCUMULATOR)
    inside = {"n_0": 2, "n_1": 3, "to": Destination.ACCUMULATOR, "a": 3, "a_stride_0": 1, "a_stride_1": step}
    inside |= {"a_stride_2": 1, "a_stride_3": 1, "b_from": SourceB.ACTIVATION, "b": weights, "b_stride_2": 1}
    inside |= {"b_stride_3": 1, "destination": depth, "destination_stride_0": 3, "destination_stride_1": 1}
    inside |= {"requantise": 0, "bias": 0}
    return random_convolution(rng, TAPS, columns, step, n_2=rows, **inside | given)


def make_in_place(fields, strides):
    fields |= {"n_2": 1, "n_3": 1, "destination": fields["a"]}
    strides["destination_stride_1"] = strides["a_stride_1"]
    strides["a_stride_0"] = strides["destination_stride_0"] = fields["n_1"] * strides["a_stride_1"]


def revisits(instruction, config):
    """Whether it visits an address twice in the bank that it reads and writes."""
    if bank_written(instruction, config) not in banks_read(instruction, config):
        return False
    places = vector_results(instruction).addresses().ravel() % (1 << ADDRESS_BITS)
    return len(np.unique(places)) < len(places)


# --- the bench ---------------------------------------------------------------------------------------------


class Bench:
    """Runs an engine cycle by cycle beside memories in Python, and compares all that it does."""

    def __init__(self, config, state, plan):
        self.config, self.plan = config, plan
        self.engine = VectorEngine(config)
        self.gates, self.model = state, state.copy()
        self.writes, self.faults, self.finishes = [], [], []
        self.answers = [[], []]

    def run(self):
        simulator = Simulator(self.engine)
        simulator.add_clock(1e-6)
        simulator.add_testbench(self.bench)
        simulator.run()

    async def bench(self, ctx):
        control, starts = self.engine.control, {item.start: item for item in self.plan}
        free = 0
        for cycle in range(self.plan[-1].finish + 3):
            item = starts.get(cycle)
            assert ctx.get(control.ready) == (cycle >= free)
            if item is not None:
                ctx.set(control.head, head_of(item))
                free = cycle + item.occupancy
            ctx.set(control.start, item is not None)
            self.answer(ctx)
            self.observe(ctx, cycle)
            await ctx.tick()
        self.compare()

    def answer(self, ctx):
        """Data of the reads of two cycles ago; an idle output keeps what it had."""
        for port, data in self.answers.pop(0):
            ctx.set(port, data)
        engine, asked = self.engine, []
        for memory in (Memory.ACTIVATION, Memory.ACCUMULATOR, Memory.PARAMETER):
            reads = getattr(engine, f"{memory.label}_read")
            data = getattr(engine, f"{memory.label}_data")
            banks = []
            for read in reads if memory != Memory.PARAMETER else [reads]:
                if ctx.get(read.enable):
                    bank, vector = ctx.get(read.bank), ctx.get(read.vector)
                    values = self.gates.memories[memory][bank * self.config.depth(memory) + vector]
                    asked.append((data[bank], int.from_bytes(values.tobytes(), "little")))
                    banks.append(bank)
            assert len(banks) == len(set(banks))
        self.answers.append(asked)

    def observe(self, ctx, cycle):
        engine = self.engine
        for memory in (Memory.ACTIVATION, Memory.ACCUMULATOR):
            write = getattr(engine, f"{memory.label}_write")
            if ctx.get(write.enable):
                vectors = self.gates.memories[memory]
                place = ctx.get(write.bank) * self.config.depth(memory) + ctx.get(write.vector)
                data = ctx.get(write.data).to_bytes(vectors[0].nbytes, "little")
                vectors[place] = np.frombuffer(data, vectors.dtype)
                self.writes.append((cycle, memory, place))
        if ctx.get(engine.control.fault.valid):
            assert ctx.get(engine.control.fault.cause) == Cause.ADDRESS
            self.faults.append((cycle, ctx.get(engine.control.fault.index)))
        if ctx.get(engine.control.finish):
            self.finish(cycle)

    def finish(self, cycle):
        """All is written, and nothing of the next instruction: the chip is as the model says."""
        instruction = self.plan[len(self.finishes)].instruction
        execute(instruction, self.model, NO_DRAM)
        for gates, model in zip(self.gates.memories, self.model.memories, strict=True):
            np.testing.assert_array_equal(gates, model, err_msg=str(instruction))
        self.finishes.append(cycle)

    def compare(self):
        assert self.finishes == [item.finish for item in self.plan]
        assert self.writes == [write for item in self.plan for write in item.writes]
        assert self.faults == [fault for item in self.plan for fault in item.faults]


def head_of(item):
    fields = {name: getattr(item.instruction, name) for name in specs(Vector)}
    return fields | {"index": item.index}


def check(instructions, config, rng):
    plan = schedule(instructions, config, rng)
    Bench(config, random_state(config, rng), plan).run()
    return plan


def load_table(**given):
    """256 entries in a row, out of a quarter as many vectors."""
    fields = {"op": VectorOp.MULTIPLY, "to": Destination.TABLE, "immediate": 3, "n_0": 4, "n_1": 64}
    return Vector(**fields | {"a_stride_1": 1, "a_from": SourceA.ACTIVATION} | given)


def leaving(config):
    """Its sources and its results leave their banks, at different times."""
    last = config.depth(Memory.ACTIVATION) - 1
    loops = {"n_0": 3, "n_2": 3, "reduce": ReduceMode.ADD, "a_stride_0": 2, "a_stride_2": 1}
    return Vector(**loops, a=last - 2, destination=2 * last + 1, destination_stride_0=1)


# --- tests -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "count"),
    [
        (TINY, 30),
        (WIDE, 8),
        (replace(TINY, requant_interval=2), 15),
        (replace(TINY, requant_interval=4), 15),
    ],
    ids=["4x4", "8x16", "interval-2", "interval-4"],
)
def test_random_sequences_agree_in_every_bit_and_cycle(config, count):
    rng = np.random.default_rng(config.cols + config.requant_interval)
    instructions = (
        [load_table()] + [random_instruction(rng, config) for _ in range(count)] + [leaving(config)]
    )
    plan = check(instructions, config, rng)
    assert plan[-1].faults


@pytest.mark.slow
@pytest.mark.parametrize("interval", [1, 2, 4])
def test_windows_slide_over_kernels_of_all_sizes_in_every_bit_and_cycle(interval):
    config, rng = replace(TAPS, requant_interval=interval), np.random.default_rng(interval)
    kernels = [*itertools.product(range(2, max(COLUMNS_MAXIMUM) + 2), (1, 2, 3))]
    fitting = [
        random_convolution(rng, config, *kernel, n_2=interval + place % 3)
        for place, kernel in enumerate(kernels)
    ]
    instructions = [*fitting, *(random_convolution(rng, config, *kernel, n_2=1) for kernel in kernels[:9])]
    instructions += [sum_of_taps(rng, *kernel, interval) for kernel in kernels]
    instructions += [random_instruction(rng, config) for _ in range(5)]
    plan = check([instructions[place] for place in rng.permutation(len(instructions))], config, rng)
    sliding = [item for item in plan if item.slides]
    assert {(item.instruction.n_3, step_of(item.instruction)) for item in sliding} == {
        kernel for kernel in kernels if chunks_of_row(*kernel)
    }
    assert any(item.faults for item in sliding)


@pytest.mark.slow
def test_a_window_keeps_the_chunks_of_as_many_rows_as_fit():
    rng = np.random.default_rng(8)
    shapes = [(3, 1, 32), (3, 1, 33), (6, 1, 16), (9, 1, 10), (9, 1, 11), (6, 2, 16), (6, 2, 17)]
    plan = check([sum_of_taps(rng, *shape) for shape in shapes], TAPS, rng)
    assert [item.slides for item in plan] == [True, False, True, True, False, True, False]


def test_a_window_slides_along_lines_of_one_input():
    rng = np.random.default_rng(9)
    still = {"a_stride_1": 0, "a_stride_3": 0}
    plan = check([sum_of_taps(rng, columns, 1, 2, **still) for columns in (3, 6)], TAPS, rng)
    assert all(item.slides for item in plan)


def test_a_window_slides_as_slowly_as_the_requantiser_needs():
    rng = np.random.default_rng(11)
    slow = replace(TAPS, requant_interval=4)
    plan = check([sum_of_taps(rng, 3, 1, rows, requantise=1) for rows in (3, 4)], slow, rng)
    assert [item.slides for item in plan] == [False, True]


def test_a_window_reads_weights_with_the_first_result_of_a_line_alone():
    rng = np.random.default_rng(12)
    last = 2 * TAPS.depth(Memory.ACTIVATION) - 1
    plan = check([sum_of_taps(rng, 5, 1, 2, b=last)], TAPS, rng)
    assert plan[0].slides
    assert len(plan[0].faults) == 2 * (2 * 5 - 1)


@pytest.mark.slow
def test_a_window_does_not_slide_where_weights_move_or_nothing_is_added():
    rng = np.random.default_rng(10)
    changes = [
        {"op": VectorOp.ADD},
        {"op": VectorOp.MULTIPLY_ADD},
        {"reduce": ReduceMode.MAXIMUM},
        {"b_stride_0": 1},
        {"b_stride_1": 1},
        {"a_from": SourceA.ACCUMULATOR},
        {"a_stride_1": 3},
        {"a_stride_1": -1},
    ]
    plan = check([sum_of_taps(rng, 3, 1, 2, **change) for change in changes], TAPS, rng)
    assert not any(item.slides for item in plan)


@pytest.mark.slow
def test_every_operation_folds_in_every_way_with_and_without_parameters():
    rng = np.random.default_rng(4)
    instructions = []
    for op, reduce, turned in itertools.product(VectorOp, ReduceMode, (0, 3)):
        flags = (op + reduce) % 4 ^ turned
        fixed = {"op": op, "reduce": reduce, "bias": flags & 1, "requantise": flags >> 1, "n_0": 1, "n_1": 2}
        instructions.append(random_instruction(rng, TINY, **fixed | ({} if reduce else {"n_2": 1, "n_3": 1})))
    check(instructions, TINY, rng)


def test_an_instruction_of_one_item_can_follow_one_of_one_item():
    rng = np.random.default_rng(5)
    one = {f"n_{loop}": 1 for loop in range(4)} | {
        "to": Destination.ACTIVATION,
        "a_from": SourceA.ACCUMULATOR,
    }
    plan = check([random_instruction(rng, TINY, **one) for _ in range(40)], TINY, rng)
    assert 1 in [later.start - item.start for item, later in itertools.pairwise(plan)]


def test_a_bias_saturates_at_both_ends():
    rng = np.random.default_rng(7)
    state = random_state(TINY, rng)
    for memory in (Memory.ACCUMULATOR, Memory.PARAMETER):
        vectors = state.memories[memory]
        vectors[...] = rng.choice([-(2**31), 2**31 - 1, -1, 1], vectors.shape)
    loops = {
        "n_1": 8,
        "a_stride_1": 1,
        "destination_stride_1": 1,
        "destination": TINY.depth(Memory.ACCUMULATOR),
    }
    add = Vector(a_from=SourceA.ACCUMULATOR, to=Destination.ACCUMULATOR, bias=1, **loops)
    Bench(TINY, state, schedule([add, replace(add, requantise=1)], TINY, rng)).run()


@pytest.mark.slow
def test_a_look_up_right_behind_the_load_of_its_table_sees_it():
    rng = np.random.default_rng(6)
    look_up = Vector(lookup=1, n_1=32, a=64, a_stride_1=1, destination=128, destination_stride_1=1)
    again = load_table(n_0=5, a_stride_0=7, immediate=-1, a=0)
    check([load_table(), look_up, again, look_up, load_table(n_0=1, n_1=2), look_up], TINY, rng)
