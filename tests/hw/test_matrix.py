import itertools
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import pytest
from amaranth import Elaboratable, Module, ResetInserter, Signal
from amaranth.sim import Simulator

from tilewright.hw.matrix import MatrixEngine
from tilewright.hw.memory import BankedMemory
from tilewright.isa import timing
from tilewright.isa.config import IN_FLIGHT, Config
from tilewright.isa.fault import Cause
from tilewright.isa.instruction import Matrix, specs
from tilewright.isa.memory import Memory

MEMORIES = (Memory.ACTIVATION, Memory.WEIGHT, Memory.ACCUMULATOR)
SMALL = {
    "activation_banks": 2,
    "activation_vectors": 32,
    "weight_banks": 2,
    "weight_vectors": 128,
    "accumulator_banks": 2,
    "accumulator_vectors": 32,
    "parameter_vectors": 16,
}


class Machine(Elaboratable):
    """The engine, that `clear` resets, and its memories; each has one more writer, for the test."""

    def __init__(self, config):
        self.engine = MatrixEngine(config)
        self.clear = Signal()
        writers = {Memory.ACTIVATION: 1, Memory.WEIGHT: 1, Memory.ACCUMULATOR: 2}
        self.memories = {
            kind: BankedMemory(config, kind, readers=1, writers=writers[kind]) for kind in MEMORIES
        }

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = ResetInserter(self.clear)(self.engine)
        for kind, memory in self.memories.items():
            m.submodules[kind.label] = memory
            m.d.comb += memory.read[0].eq(getattr(self.engine, f"{kind.label}_read"))
            data = getattr(self.engine, f"{kind.label}_data")
            m.d.comb += [to.eq(bank) for to, bank in zip(data, memory.data, strict=True)]
        m.d.comb += self.memories[Memory.ACCUMULATOR].write[1].eq(self.engine.accumulator_write)
        return m

    async def fill(self, ctx, config, contents):
        """Write the whole of all memories, side by side."""
        for address in range(max(map(len, contents.values()))):
            for kind, vectors in contents.items():
                write = self.memories[kind].write[0]
                ctx.set(write.enable, address < len(vectors))
                if address < len(vectors):
                    bank, vector = divmod(address, config.depth(kind))
                    raw = int.from_bytes(vectors[address].tobytes(), "little")
                    ctx.set(write, {"enable": 1, "bank": bank, "vector": vector, "data": raw})
            await ctx.tick()
        for kind in contents:
            ctx.set(self.memories[kind].write[0].enable, 0)


def random_contents(rng, config):
    """A full state: int8 and int32 vectors in little-endian lanes."""
    shapes = {kind: (config.vectors(kind), config.cols) for kind in MEMORIES}
    types = {1: np.dtype("i1"), 4: np.dtype("<i4")}
    return {
        kind: rng.integers(
            *((-128, 128) if kind.element_bytes == 1 else (-(2**31), 2**31)), shape, types[kind.element_bytes]
        )
        for kind, shape in shapes.items()
    }


def random_matrix(rng, config, *, wild):
    """An instruction whose first addresses are good; with `wild`, the others often are not."""

    def first(memory, slices=1):
        depth = config.depth(memory) * slices
        place = rng.integers(depth) if wild else rng.integers(depth // 4, depth // 2)
        return int(rng.integers(config.banks(memory)) * depth + place)

    reach = 40 if wild else 2
    strides = {
        name: int(rng.integers(-reach, reach + 1)) for name in specs(Matrix) if name.startswith("stride")
    }
    if wild and rng.integers(4) == 0:
        strides["stride_x"] = int(rng.choice([-(2**24), 2**24 - 1]))
    single = rng.integers(3) == 0
    return Matrix(
        activation=first(Memory.ACTIVATION, config.slices),
        weight=first(Memory.WEIGHT),
        accumulator=first(Memory.ACCUMULATOR)
        if wild
        else int(rng.choice([2, 3, config.depth(Memory.ACCUMULATOR)])),
        n_y=1 if single else int(rng.integers(1, 4)),
        n_x=1 if single else int(rng.integers(1, 5)),
        n_ci=int(rng.integers(1, 3)),
        n_ky=int(rng.integers(1, 3)),
        n_kx=1 if single else int(rng.integers(1, 3)),
        accumulate=int(rng.integers(2)),
        **strides,
    )


@dataclass
class Expected:
    """What must be seen in each cycle, by the closed forms of docs/machine.md and plain sums."""

    config: Config
    contents: dict
    start: dict = field(default_factory=dict)
    """Cycle to (instruction, its place)."""
    busy: set = field(default_factory=set)
    """Cycles in which the engine is not ready."""
    finish: list = field(default_factory=list)
    faults: dict = field(default_factory=lambda: defaultdict(list))
    """Cycle to (order of operand, place of instruction)."""
    writes: dict = field(default_factory=dict)
    """Cycle to (address, int32 lanes)."""
    previous: tuple = (0, 0, None)
    """Last stream, its vectors and accumulator base."""

    def add(self, matrix, delay):
        """Start `matrix` so many cycles after it can be at the earliest."""
        rows, index = self.config.rows, len(self.finish)
        last_stream, vectors, base = self.previous
        start = last_stream + 1 if self.finish else 0
        if index >= IN_FLIGHT:
            start = max(start, self.finish[index - IN_FLIGHT] + 1)
        start += delay
        moved = base is not None and bool(matrix.accumulate) and matrix.accumulator != base
        stream = timing.first_stream(start, rows, last_stream, vectors, moved)
        self.start[start] = (matrix, index)
        preload = start
        for tile, (ky, kx, ci) in enumerate(
            itertools.product(*map(range, (matrix.n_ky, matrix.n_kx, matrix.n_ci)))
        ):
            if tile:
                preload, stream = stream, stream + timing.tile_period(matrix.n_y * matrix.n_x, rows)
            self._tile(matrix, index, tile, preload, stream, (ky, kx, ci))
        self.busy.update(range(start + 1, stream + 1))
        self.previous = (stream, matrix.n_y * matrix.n_x, matrix.accumulator)
        self.finish.append(stream + matrix.n_y * matrix.n_x - 1 + timing.matrix_depth(rows, self.config.cols))

    def _tile(self, matrix, index, tile, preload, stream, passes):
        config = self.config
        rows, fault = config.rows, timing.ADDRESS_FAULT
        weights = []
        for row in range(rows):
            address = (matrix.weight + tile * rows + row) % 2**20
            weights.append(
                self._read(Memory.WEIGHT, matrix.weight, address, (preload + 1 + row + fault, 2, index))
            )
        for m, (y, x) in enumerate(itertools.product(range(matrix.n_y), range(matrix.n_x))):
            offset = np.dot(
                (y, x, *passes),
                (matrix.stride_y, matrix.stride_x, matrix.stride_ky, matrix.stride_kx, matrix.stride_ci),
            )
            address = (matrix.activation + int(offset)) % 2**25
            slices = config.slices
            vector = self._read(
                Memory.ACTIVATION,
                matrix.activation // slices,
                address // slices,
                (stream + m + 1 + fault, 1, index),
            )
            part = vector[address % slices * rows :][:rows]
            product = part.astype(np.int64) @ np.array(weights, np.int64)
            self._accumulate(matrix, index, tile, m, stream + m, product)

    def _inside(self, memory, first, address):
        return address // self.config.depth(memory) == first // self.config.depth(memory)

    def _read(self, memory, first, address, fault):
        """A vector; 0 and a fault outside of the operand's bank."""
        if self._inside(memory, first, address):
            return self.contents[memory][address]
        cycle, order, index = fault
        self.faults[cycle].append((order, index))
        return np.zeros(self.config.cols, np.int8)

    def _accumulate(self, matrix, index, tile, m, cycle, product):
        rows, cols = self.config.rows, self.config.cols
        address = (matrix.accumulator + m) % 2**20
        fault = (cycle + timing.matrix_fault_depth(rows, cols), 0, index)
        old = self._read(Memory.ACCUMULATOR, matrix.accumulator, address, fault)
        if not self._inside(Memory.ACCUMULATOR, matrix.accumulator, address):
            return
        new = product + (old if tile or matrix.accumulate else 0)
        lanes = new.astype(np.int64).astype(np.int32)
        self.contents[Memory.ACCUMULATOR][address] = lanes
        self.writes[cycle + timing.matrix_depth(rows, cols)] = (address, lanes.tolist())


def seen_write(ctx, write, config):
    """(address, int32 lanes) of a write in this cycle, None if there is none."""
    if not ctx.get(write.enable):
        return None
    address = ctx.get(write.bank) * config.depth(Memory.ACCUMULATOR) + ctx.get(write.vector)
    raw = ctx.get(write.data).to_bytes(4 * config.cols, "little")
    return address, np.frombuffer(raw, "<i4").tolist()


def seen_fault(ctx, fault):
    """(cause, instruction) of a fault in this cycle, None if there is none."""
    return (ctx.get(fault.cause), ctx.get(fault.index)) if ctx.get(fault.valid) else None


def check(config, matrices, delays, seed=0, *, interrupted=None):
    """Run the instructions, each so many cycles after it could start, and compare every cycle.

    With `interrupted`, that instruction is started before, and cleared away in the midst.
    """
    rng = np.random.default_rng(seed)
    machine = Machine(config)
    contents = random_contents(rng, config)
    expected = Expected(config, {kind: vectors.copy() for kind, vectors in contents.items()})
    for matrix, delay in zip(matrices, delays, strict=True):
        expected.add(matrix, delay)

    async def bench(ctx):
        await machine.fill(ctx, config, contents)
        if interrupted is not None:
            await interrupt(ctx, machine, interrupted)
        for cycle in range(expected.finish[-1] + 3):
            await check_cycle(ctx, machine.engine, config, expected, cycle)
            await ctx.tick()

    simulator = Simulator(machine)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return expected


async def interrupt(ctx, machine, matrix):
    """Start an instruction and clear the engine before its first result."""
    control = machine.engine.control
    ctx.set(control.head, values(matrix, 7))
    ctx.set(control.start, 1)
    await ctx.tick()
    ctx.set(control.start, 0)
    await ctx.tick().repeat(10)
    ctx.set(machine.clear, 1)
    await ctx.tick()
    ctx.set(machine.clear, 0)


def values(matrix, index):
    """An instruction as the engine gets it."""
    return {name: getattr(matrix, name) for name in specs(Matrix)} | {"index": index}


async def check_cycle(ctx, engine, config, expected, cycle):
    control = engine.control
    assert ctx.get(control.ready) == (cycle not in expected.busy), cycle
    ctx.set(control.start, cycle in expected.start)
    if cycle in expected.start:
        matrix, index = expected.start[cycle]
        ctx.set(control.head, values(matrix, index))
    else:  # the head is read with start only
        ctx.set(control.head, dict.fromkeys(specs(Matrix), 1) | {"index": 0})
    faults = sorted(expected.faults.get(cycle, []))
    assert seen_fault(ctx, control.fault) == ((Cause.ADDRESS, faults[0][1]) if faults else None), cycle
    assert seen_write(ctx, engine.accumulator_write, config) == expected.writes.get(cycle), cycle
    assert ctx.get(control.finish) == (cycle in expected.finish), cycle


def size(rows, cols):
    return Config(rows=rows, cols=cols, **SMALL)


@pytest.mark.parametrize("wild", [False, True], ids=["inside", "outside"])
@pytest.mark.parametrize(("rows", "cols"), [(4, 4), (4, 8), (8, 16)])
def test_random_instructions_are_exact_in_bits_and_cycles(rows, cols, wild):
    config = size(rows, cols)
    rng = np.random.default_rng(rows * cols + wild)
    matrices = [random_matrix(rng, config, wild=wild) for _ in range(12)]
    delays = [int(rng.choice([0, 0, 0, 1, 3, 30])) for _ in matrices]
    expected = check(config, matrices, delays)
    assert any(expected.faults.values()) == wild


def test_single_vectors_back_to_back_add_up_at_one_and_at_changing_places():
    config = size(4, 4)
    bases = [3, 3, 3, 4, 4, 3, 32, 3]
    matrices = [
        Matrix(activation=k, weight=4 * k, accumulator=base, accumulate=1) for k, base in enumerate(bases)
    ]
    check(config, matrices, [0] * len(matrices))


def test_a_sum_elsewhere_waits_for_the_sums_of_a_long_stream():
    config = size(4, 4)
    long = Matrix(activation=0, weight=0, accumulator=0, n_x=9, stride_x=1)
    after = Matrix(activation=0, weight=4, accumulator=8, accumulate=1)
    same = Matrix(activation=0, weight=4, accumulator=0, n_x=9, stride_x=1, accumulate=1)
    fresh = Matrix(activation=0, weight=4, accumulator=8)
    expected = check(config, [long, after, long, same, long, fresh], [0] * 6)
    assert expected.writes


def test_the_engine_fills_up_to_the_instructions_it_may_hold():
    config = size(4, 32)
    matrices = [
        Matrix(activation=k, weight=k, accumulator=k % 2, n_x=1 + k % 2, accumulate=1) for k in range(12)
    ]
    expected = check(config, matrices, [0] * len(matrices))
    starts = sorted(expected.start)
    assert starts[IN_FLIGHT] == expected.finish[0] + 1


def test_of_faults_in_one_cycle_the_oldest_instruction_is_named():
    config = size(4, 4)
    # Results, slices and weights of three instructions leave their banks in common cycles.
    late = Matrix(activation=0, weight=0, accumulator=30, n_x=40)
    middle = Matrix(activation=31, weight=0, accumulator=0, n_x=30, stride_x=1)
    early = Matrix(activation=0, weight=127, accumulator=0, n_ci=8)
    expected = check(config, [late, middle, early], [0, 0, 0])
    together = [sorted(found) for found in expected.faults.values() if len(found) > 1]
    assert {tuple(order for order, _ in found) for found in together} >= {(0, 1)}


def test_the_last_bank_ends_at_the_end_of_the_memory():
    config = size(4, 8)
    matrices = [
        Matrix(activation=127, weight=252, accumulator=63),
        Matrix(activation=126, weight=252, accumulator=62, n_x=2, stride_x=1),
        Matrix(activation=127, weight=253, accumulator=63, n_x=2, stride_x=1),
    ]
    expected = check(config, matrices, [0, 0, 0])
    assert sorted({index for found in expected.faults.values() for _, index in found}) == [2]


def test_a_cleared_engine_knows_nothing_of_what_it_ran():
    config = size(4, 4)
    matrices = [Matrix(activation=k, weight=k, accumulator=k, n_x=2, accumulate=1) for k in range(3)]
    check(
        config,
        matrices,
        [0, 0, 0],
        interrupted=Matrix(activation=0, weight=126, accumulator=31, n_x=9, n_ci=3),
    )
